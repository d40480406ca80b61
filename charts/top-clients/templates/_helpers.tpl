{{/* What selects the pods of one part; never changes, for selectors cannot. Takes a dict of root and component. */}}
{{- define "top-clients.selector" -}}
app.kubernetes.io/name: top-clients
app.kubernetes.io/component: {{ .component }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- end }}

{{/* On every object of the chart. Takes a dict of root and component. */}}
{{- define "top-clients.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "top-clients.selector" . }}
app.kubernetes.io/part-of: top-clients
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
{{- end }}

{{/* The reference of the image. */}}
{{- define "top-clients.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end }}

{{/* The pod's and its container's security, as the restricted profile of Pod Security wants it. */}}
{{- define "top-clients.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end }}
{{- define "top-clients.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities:
  drop: [ALL]
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{/*
The spec of the platform. The roles run the operator's own image unless told otherwise, so that after an upgrade it is
the new operator that moves them. How an image is pulled stands beside its name, though; where that is said, all is.
*/}}
{{- define "top-clients.platform" -}}
{{- $spec := deepCopy .Values.topClients -}}
{{- if and (not $spec.image) (or .Values.image.pullSecrets (ne .Values.image.pullPolicy "IfNotPresent")) -}}
{{- $image := pick .Values.image "repository" "pullPolicy" "pullSecrets" -}}
{{- if .Values.image.digest -}}
{{- $_ := set $image "digest" .Values.image.digest -}}
{{- else -}}
{{- $_ := set $image "tag" (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- $_ := set $spec "image" $image -}}
{{- end -}}
{{- toYaml $spec -}}
{{- end }}

{{/* Whether it is there to be looked at. */}}
{{- define "top-clients.demo" -}}
{{- if eq (dig "profile" "production" .Values.topClients) "demo" -}}true{{- end -}}
{{- end }}

{{/* Whether the demo's issuer runs, as the platform has it. */}}
{{- define "top-clients.demoIssuer" -}}
{{- $auth := dig "auth" dict .Values.topClients -}}
{{- if hasKey $auth "demoIssuer" -}}
{{- if $auth.demoIssuer -}}true{{- end -}}
{{- else if and (include "top-clients.demo" .) (not $auth.issuer) (not $auth.jwksUrl) -}}
true
{{- end -}}
{{- end }}

{{/* Whether NetworkPolicies are wanted: as the platform has it. */}}
{{- define "top-clients.networkPolicies" -}}
{{- if ne (dig "networkPolicies" "enabled" true .Values.topClients) false -}}true{{- end -}}
{{- end }}
