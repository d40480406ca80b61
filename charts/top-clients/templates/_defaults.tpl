{{/* Generated from cdk8s/api; to change it, change that and run: make generate */}}
{{- define "top-clients.defaults" -}}
partitions: 12
replicas: 1
maxReplicas: 6
images:
  kafka: apache/kafka:4.3.1
  postgres: postgres:18
{{- end }}
