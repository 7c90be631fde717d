{{- define "postgres-db.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/*
As in helm's starter. At most 50 characters, so that `-migration` fits, and the hash in a label of the StatefulSet's pods.
*/}}
{{- define "postgres-db.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- if contains $name .Release.Name }}
{{- .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}
{{- end }}

{{- define "postgres-db.chart" -}}
{{- printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/*
Labels of an object: (dict "root" $ "component" "database").
*/}}
{{- define "postgres-db.labels" -}}
helm.sh/chart: {{ include "postgres-db.chart" .root }}
{{ include "postgres-db.selectorLabels" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: birthday
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/*
Labels that select the pods of an object: the same dict.
*/}}
{{- define "postgres-db.selectorLabels" -}}
app.kubernetes.io/name: {{ include "postgres-db.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "postgres-db.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag }}
{{- end -}}
{{- end }}

{{/*
Name under which clients reach the server.
*/}}
{{- define "postgres-db.host" -}}
{{ include "postgres-db.fullname" . }}.{{ .Release.Namespace }}.svc.{{ .Values.clusterDomain }}
{{- end }}

{{- define "postgres-db.secretName" -}}
{{- .Values.auth.existingSecret | default (include "postgres-db.fullname" .) }}
{{- end }}

{{- define "postgres-db.apiSecretName" -}}
{{- .Values.api.existingSecret | default (printf "%s-api" (include "postgres-db.fullname" .)) }}
{{- end }}

{{/*
A password as base64, kept once it exists: (dict "root" $ "name" name "key" key).
*/}}
{{- define "postgres-db.keptPassword" -}}
{{- $secret := lookup "v1" "Secret" .root.Release.Namespace .name }}
{{- if $secret }}
{{- $data := $secret.data | default dict }}
{{- if not (get $data .key) }}
{{- fail (printf "the Secret %s in the namespace %s has no key %s: put the password there, or delete the Secret" .name .root.Release.Namespace .key) }}
{{- end }}
{{- get $data .key }}
{{- else }}
{{- randAlphaNum 32 | b64enc }}
{{- end }}
{{- end }}

{{/*
Variables of the containers of migration and test, by which psql reaches the server.
*/}}
{{- define "postgres-db.clientEnv" -}}
- name: PGHOST
  value: {{ include "postgres-db.host" . }}
- name: PGPORT
  value: "5432"
- name: PGDATABASE
  value: {{ .Values.database | quote }}
- name: PGCONNECT_TIMEOUT
  value: "5"
{{- if and .Values.tls.enabled .Values.tls.caKey }}
- name: PGSSLMODE
  value: verify-full
- name: PGSSLROOTCERT
  value: /etc/postgresql/tls/ca.crt
{{- else if .Values.tls.enabled }}
- name: PGSSLMODE
  value: require
{{- else }}
- name: PGSSLMODE
  value: disable
{{- end }}
{{- end }}

{{- define "postgres-db.clientTlsMount" -}}
{{- if and .Values.tls.enabled .Values.tls.caKey }}
- name: tls
  mountPath: /etc/postgresql/tls
  readOnly: true
{{- end }}
{{- end }}

{{- define "postgres-db.clientTlsVolume" -}}
{{- if and .Values.tls.enabled .Values.tls.caKey }}
- name: tls
  secret:
    secretName: {{ .Values.tls.existingSecret }}
    defaultMode: 0440
    items:
      - key: {{ .Values.tls.caKey }}
        path: ca.crt
{{- end }}
{{- end }}

{{/*
Fields that the pods of server, migration and test have in common.
*/}}
{{- define "postgres-db.podSpec" -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
securityContext:
  {{- toYaml .Values.podSecurityContext | nindent 2 }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/*
`key=value` for `postgres -c`: whole numbers as such, on and off for booleans.
*/}}
{{- define "postgres-db.setting" -}}
{{- $value := .value }}
{{- if kindIs "bool" $value }}
{{- $value = ternary "on" "off" $value }}
{{- else if kindIs "float64" $value }}
{{- $value = ternary (printf "%d" (int64 $value)) (toString $value) (eq (floor $value) $value) }}
{{- end }}
{{- printf "%s=%v" .name $value }}
{{- end }}
