# Reads and writes the fields of secret/team/app.
path "secret/data/team/app" {
  capabilities = ["create", "read", "update", "patch"]
}
