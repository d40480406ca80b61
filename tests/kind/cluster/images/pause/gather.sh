# shellcheck shell=bash
CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o pause pause.go
