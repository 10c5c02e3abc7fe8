# Reads the fields of secret/team/app.
path "secret/data/team/app" {
  capabilities = ["read"]
}
