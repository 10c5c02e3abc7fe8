path "secret/data/team/app/*" {
  capabilities = ["read"]
}
path "secret/metadata/team/app/" {
  capabilities = ["list"]
}
