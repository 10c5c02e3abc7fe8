path "secret/data/team/app/*" {
  capabilities = ["create", "read", "update"]
}
path "secret/metadata/team/app/*" {
  capabilities = ["delete"]
}
path "secret/metadata/team/app/" {
  capabilities = ["list"]
}
