path "secret/data/team/app" {
  capabilities = ["create", "read", "update", "patch"]
}
