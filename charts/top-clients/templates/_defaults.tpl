{{/* Generated from cdk8s/api; to change it, change that and run: make generate */}}
{{- define "top-clients.defaults" -}}
partitions: 12
replicas: 1
maxReplicas: 6
images:
  kafka: apache/kafka:4.3.1
  postgres: postgres:18
{{- end }}

{{/* What a part of the values is where it, or a member of it, was set to null. */}}
{{- define "top-clients.sections" -}}
image:
  repository: top-clients
  tag: ""
  digest: ""
  pullPolicy: IfNotPresent
  pullSecrets: []
operator:
  enabled: true
  replicas: 2
  logLevel: info
  resyncSeconds: 300
  resources:
    requests:
      cpu: 50m
      memory: 256Mi
    limits:
      memory: 256Mi
  podLabels: {}
  podAnnotations: {}
  nodeSelector: {}
  tolerations: []
  priorityClassName: ""
watchNamespaces: []
platform:
  enabled: true
admissionPolicy:
  enabled: true
deletionGuard:
  enabled: true
dashboards:
  enabled: true
  labels:
    grafana_dashboard: "1"
  annotations:
    grafana_folder: Top Clients
test:
  enabled: true
  sellerId: 1
  gigId: 1
  deadlineSeconds: 60
  tokenKey: token
nameOverride: ""
fullnameOverride: ""
rbac:
  create: true
serviceAccount:
  create: true
  name: ""
  annotations: {}
crds:
  enabled: true
{{- end }}
