path "secret/data/team/app" {
  capabilities = ["read"]
}
