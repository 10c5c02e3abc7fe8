module github.com/mlsecrets/secretstore

go 1.26.0
