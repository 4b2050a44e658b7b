{{- /* Names stay below the 52 characters that a CronJob may have. */ -}}
{{- define "portolan.name" -}}
{{- .Release.Name | trunc 38 | trimSuffix "-" -}}
{{- end -}}

{{- define "portolan.selector" -}}
app.kubernetes.io/name: portolan
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "portolan.labels" -}}
{{ include "portolan.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- /* The jobs that are on, in the order of a day. */ -}}
{{- define "portolan.jobs" -}}
{{- range list "backup" "check" "prune" "drill" }}
{{- if (get $.Values .).enabled }}
- {{ . }}
{{- end }}
{{- end }}
{{- end -}}

{{- /* A schedule in which H is a minute, or an hour, that follows from the names: the same each time, another in each release. */ -}}
{{- define "portolan.schedule" -}}
{{- $number := printf "%s/%s/%s" .root.Release.Namespace .root.Release.Name .job | adler32sum | int64 -}}
{{- $fields := splitList " " .settings.schedule -}}
{{- $minute := index $fields 0 | replace "H" (toString (mod $number 60)) -}}
{{- $hour := index $fields 1 | replace "H" (toString (mod (div $number 60) 24)) -}}
{{- join " " (concat (list $minute $hour) (slice $fields 2)) -}}
{{- end -}}

{{- define "portolan.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ int .Values.pod.runAsUser }}
runAsGroup: {{ int .Values.pod.runAsGroup }}
fsGroup: {{ int .Values.pod.fsGroup }}
fsGroupChangePolicy: OnRootMismatch
{{- with .Values.pod.supplementalGroups }}
supplementalGroups:
  {{- toYaml . | nindent 2 }}
{{- end }}
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "portolan.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "portolan.placement" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.pod.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.pod.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.pod.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.pod.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- end -}}

{{- define "portolan.podLabels" -}}
{{ include "portolan.selector" .root }}
app.kubernetes.io/component: {{ .component }}
{{- with .root.Values.pod.labels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- /* Where the repository is and how its storage is come to: options of every command. */ -}}
{{- define "portolan.storageArguments" -}}
{{- $values := .root.Values }}
- {{ printf "--repo=%s" $values.repository.url | quote }}
{{- with $values.repository.limitUpload }}
- --limit-upload={{ . }}
{{- end }}
{{- with $values.repository.limitDownload }}
- --limit-download={{ . }}
{{- end }}
{{- if $values.certificates.name }}
- --ca-file=/etc/portolan/certificates/{{ $values.certificates.key }}
{{- end }}
{{- if or (eq $values.storage.credentials "zitadel") .settings.askRoles }}
- --service-key=/etc/portolan/secret/service-key.json
{{- end }}
{{- if eq $values.storage.credentials "zitadel" }}
- {{ printf "--role-arn=%s" $values.storage.roleArn | quote }}
{{- with $values.storage.sts }}
- {{ printf "--sts=%s" . | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "portolan.trustArgument" -}}
- --trust=/etc/portolan/trust/{{ .Values.trust.key }}
{{- end -}}

{{- define "portolan.signerArguments" -}}
- --sign-key=/etc/portolan/secret/cosign.key
- --password-file=/etc/portolan/secret/password
{{- end -}}

{{- define "portolan.env" -}}
{{- $values := .root.Values }}
- name: HOME
  value: /tmp
- name: XDG_CACHE_HOME
  value: /var/lib/portolan/cache
{{- if eq $values.storage.credentials "secret" }}
# The variables of every program that speaks S3.
- name: AWS_SHARED_CREDENTIALS_FILE
  value: /etc/portolan/secret/credentials
- name: AWS_PROFILE
  value: default
{{- else if eq $values.storage.credentials "web-identity" }}
- name: AWS_WEB_IDENTITY_TOKEN_FILE
  value: /var/run/secrets/portolan/token
- name: AWS_ROLE_ARN
  value: {{ get $values.storage.roles .role | default "" | required (printf "storage.roles.%s: name the role of this job" .role) | quote }}
- name: AWS_ROLE_SESSION_NAME
  value: {{ printf "portolan-%s" .role }}
{{- with $values.storage.sts }}
- name: AWS_ENDPOINT_URL_STS
  value: {{ . | quote }}
{{- end }}
{{- end }}
{{- with $values.logs.otlp.endpoint }}
- name: PORTOLAN_OTLP_ENDPOINT
  value: {{ . | quote }}
- name: POD_NAME
  valueFrom: { fieldRef: { fieldPath: metadata.name } }
- name: OTEL_RESOURCE_ATTRIBUTES
  value: k8s.namespace.name={{ $.root.Release.Namespace }},k8s.pod.name=$(POD_NAME)
{{- if $values.logs.otlp.headersSecret }}
- name: PORTOLAN_OTLP_HEADERS_FILE
  value: /etc/portolan/logs/headers
{{- end }}
{{- if $values.certificates.name }}
- name: PORTOLAN_OTLP_CA_FILE
  value: /etc/portolan/certificates/{{ $values.certificates.key }}
{{- end }}
{{- end }}
{{- with $values.proxy.https }}
- name: HTTPS_PROXY
  value: {{ . | quote }}
{{- end }}
{{- with $values.proxy.http }}
- name: HTTP_PROXY
  value: {{ . | quote }}
{{- end }}
{{- with $values.proxy.none }}
- name: NO_PROXY
  value: {{ . | quote }}
{{- end }}
{{- end -}}

{{- define "portolan.mounts" -}}
- { name: state, mountPath: /var/lib/portolan }
- { name: tmp, mountPath: /tmp }
- { name: secret, mountPath: /etc/portolan/secret, readOnly: true }
- { name: trust, mountPath: /etc/portolan/trust, readOnly: true }
{{- if .root.Values.logs.otlp.headersSecret }}
- { name: logs, mountPath: /etc/portolan/logs, readOnly: true }
{{- end }}
{{- if .root.Values.certificates.name }}
- { name: certificates, mountPath: /etc/portolan/certificates, readOnly: true }
{{- end }}
{{- if eq .root.Values.storage.credentials "web-identity" }}
- { name: token, mountPath: /var/run/secrets/portolan, readOnly: true }
{{- end }}
{{- end -}}

{{- /* Modes are decimal: 288 is 0440, for the group of the volume. The keys of its Secret that a job reads, and no other: an identity that lies beside them does not come into the Pod. */ -}}
{{- define "portolan.secretKeys" -}}
{{- $values := .root.Values }}
{{- $keys := list }}
{{- if eq $values.storage.credentials "secret" }}
{{- $keys = append $keys "credentials" }}
{{- end }}
{{- if or (eq $values.storage.credentials "zitadel") .settings.askRoles }}
{{- $keys = append $keys "service-key.json" }}
{{- end }}
{{- if eq .job "backup" }}
{{- $keys = append $keys "writer.json" }}
{{- end }}
{{- if or (has .job (list "backup" "prune" "drill")) .settings.sign }}
{{- $keys = concat $keys (list "cosign.key" "password") }}
{{- end }}
{{- if or (eq .job "drill") .settings.sign }}
{{- $keys = append $keys "identity.txt" }}
{{- end }}
{{- toYaml $keys }}
{{- end -}}

{{- /* What is not there is optional: so the program says which file it lacks, instead of a Pod that waits for ever. */ -}}
{{- define "portolan.fromObject" -}}
{{- if eq .kind "Secret" -}}
secret: { secretName: {{ .name | quote }}, defaultMode: 288, optional: true }
{{- else -}}
configMap: { name: {{ .name | quote }}, optional: true }
{{- end -}}
{{- end -}}

{{- define "portolan.claimName" -}}
{{- .settings.state.existingClaim | default (printf "%s-%s-state" (include "portolan.name" .root) .job) -}}
{{- end -}}

{{- define "portolan.volumes" -}}
{{- $values := .root.Values }}
- name: tmp
  emptyDir: {}
- name: secret
  {{- /* A list of no keys would stand for all of them. */}}
  {{- with include "portolan.secretKeys" . | fromYamlArray }}
  secret:
    secretName: {{ $.settings.secret | quote }}
    defaultMode: 288
    optional: true
    items:
      {{- range . }}
      - { key: {{ . }}, path: {{ . }} }
      {{- end }}
  {{- else }}
  emptyDir: {}
  {{- end }}
- name: trust
  {{- include "portolan.fromObject" $values.trust | nindent 2 }}
{{- with $values.logs.otlp.headersSecret }}
- name: logs
  secret: { secretName: {{ . | quote }}, defaultMode: 288, optional: true, items: [{ key: headers, path: headers }] }
{{- end }}
{{- if $values.certificates.name }}
- name: certificates
  {{- include "portolan.fromObject" $values.certificates | nindent 2 }}
{{- end }}
{{- if eq $values.storage.credentials "web-identity" }}
- name: token
  projected:
    defaultMode: 288
    sources:
      - serviceAccountToken:
          path: token
          audience: {{ $values.storage.audience | quote }}
          expirationSeconds: {{ int $values.storage.expirationSeconds }}
{{- end }}
{{- end -}}

{{- define "portolan.stateVolume" -}}
- name: state
{{- if .settings.state.persistent }}
  persistentVolumeClaim:
    claimName: {{ include "portolan.claimName" . }}
{{- else }}
  emptyDir: {}
{{- end }}
{{- end -}}

{{- define "portolan.arguments.backup" -}}
{{- $values := .root.Values }}
{{- $database := $values.source.postgres }}
- backup
- run
{{- include "portolan.storageArguments" . }}
- --writer-key=/etc/portolan/secret/writer.json
{{ include "portolan.signerArguments" .root }}
- --state=/var/lib/portolan
- --full-every={{ .settings.fullEvery }}
- --wait-lock={{ int .settings.waitLockSeconds }}
- --roles-max-age={{ .settings.rolesMaxAge }}
{{- range .settings.tags }}
- {{ printf "--tag=%s" . | quote }}
{{- end }}
{{- with $database }}
{{- range .databases }}
- {{ printf "--database=postgres://%s@%s:%d/%s?sslmode=%s" $database.user $database.host (int ($database.port | default 5432)) . ($database.sslMode | default "verify-full") | quote }}
{{- end }}
{{- if .all }}
- --all-databases
{{- end }}
- --database-password-file=/etc/portolan/database/password
{{- with .certificates }}
- --database-ca-file=/etc/portolan/database-certificates/{{ .key | default "ca.crt" }}
{{- end }}
{{- range .excludeSchemas }}
- {{ printf "--exclude-schema=%s" . | quote }}
{{- end }}
{{- range .excludeTables }}
- {{ printf "--exclude-table=%s" . | quote }}
{{- end }}
{{- range .excludeRows }}
- {{ printf "--exclude-rows=%s" . | quote }}
{{- end }}
{{- with .profile }}
- --profile={{ . }}
{{- end }}
{{- end }}
{{- range $values.source.files }}
- --files=/files/{{ .name }}
{{- end }}
{{- range $values.source.excludeFiles }}
- {{ printf "--exclude-files=%s" . | quote }}
{{- end }}
{{- end -}}

{{- define "portolan.arguments.forget" -}}
{{- $retention := .settings.retention }}
- backup
- forget
{{- include "portolan.storageArguments" . }}
{{ include "portolan.trustArgument" .root }}
{{ include "portolan.signerArguments" .root }}
- --state=/var/lib/portolan
{{- range $name := list "keepLast" "keepHourly" "keepDaily" "keepWeekly" "keepMonthly" "keepYearly" "perDay" }}
{{- with get $retention $name }}
- --{{ $name | kebabcase }}={{ int . }}
{{- end }}
{{- end }}
{{- with $retention.keepWithin }}
- --keep-within={{ . }}
{{- end }}
{{- with $retention.floor }}
- --floor={{ . }}
{{- end }}
{{- range $retention.keepTags }}
- {{ printf "--keep-tag=%s" . | quote }}
{{- end }}
{{- end -}}

{{- define "portolan.arguments.prune" -}}
- backup
- prune
{{- include "portolan.storageArguments" . }}
{{ include "portolan.trustArgument" .root }}
{{ include "portolan.signerArguments" .root }}
- --state=/var/lib/portolan
{{- end -}}

{{- define "portolan.arguments.check" -}}
- backup
- check
{{- include "portolan.storageArguments" . }}
{{ include "portolan.trustArgument" .root }}
- --state=/var/lib/portolan
- --read-data={{ .settings.readData }}
{{- if .settings.sign }}
- --identity=/etc/portolan/secret/identity.txt
{{ include "portolan.signerArguments" .root }}
{{- end }}
{{- end -}}

{{- define "portolan.arguments.drill" -}}
- backup
- drill
{{- include "portolan.storageArguments" . }}
{{ include "portolan.trustArgument" .root }}
- --state=/var/lib/portolan
- --identity=/etc/portolan/secret/identity.txt
{{ include "portolan.signerArguments" .root }}
- --work-dir=/work
{{- with .settings.checks }}
- --checks=/etc/portolan/checks/{{ .key | default "checks.sql" }}
{{- end }}
{{- with .settings.snapshot }}
- {{ . | quote }}
{{- end }}
{{- end -}}

{{- /* The port of the storage's endpoint, else that of https. */ -}}
{{- define "portolan.storagePort" -}}
{{- $endpoint := regexFind "endpoint=https?://[^/&]+" .Values.repository.url -}}
{{- regexFind "[0-9]+$" (regexFind ":[0-9]+$" $endpoint) | default (ternary "80" "443" (hasPrefix "endpoint=http://" $endpoint)) -}}
{{- end -}}
