{{- /*
The sections that are on, by name, each its file in sections/ with what the values say over it. The chart is packed
without the file of a section that the bundle leaves out: asking for it afterwards is an error.
*/ -}}
{{- define "app.sections" -}}
{{- $names := list "core" -}}
{{- range $key, $on := .Values -}}
{{- if and (hasPrefix "enable" $key) (eq (toString $on) "true") -}}
{{- $names = append $names (lower (trimPrefix "enable" $key)) -}}
{{- end -}}
{{- end -}}
{{- $sections := dict -}}
{{- range $name := $names -}}
{{- $file := $.Files.Get (printf "sections/%s.yaml" $name) -}}
{{- if not $file -}}
{{- fail (printf "The section %s is not in this chart: build the bundle with this feature on." $name) -}}
{{- end -}}
{{- $_ := set $sections $name (mergeOverwrite (fromYaml $file) (get $.Values.sections $name | default dict)) -}}
{{- end -}}
{{- toYaml $sections -}}
{{- end -}}

{{- define "app.selector" -}}
app.kubernetes.io/name: {{ .name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- end -}}

{{- define "app.labels" -}}
app.kubernetes.io/part-of: cms
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "app.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- /* What the publisher runs, and for the core section what the pages read about the installation. */ -}}
{{- define "app.files" -}}
query.sql: |
  set role anon;
  {{ .section.query }};
publish.sh: |
  # Writes the published entries for the web server, whole or not at all.
  set -eu
  trap 'exit 0' TERM INT
  while :; do
    if psql --no-psqlrc --quiet --no-align --tuples-only --set=ON_ERROR_STOP=1 --file=/etc/publisher/query.sql >/data/.new; then
      mv /data/.new "/data/$1"
    fi
    sleep "$2" &
    wait $!
  done
{{- if eq .name "core" }}
{{- $navigation := list (pick .section "label" "path") }}
{{- range $name, $section := omit .sections "core" }}
{{- $navigation = append $navigation (pick $section "label" "path") }}
{{- end }}
site.json: |
  {{ dict "title" .root.Values.title "navigation" $navigation | toJson }}
{{- end }}
{{- end -}}
