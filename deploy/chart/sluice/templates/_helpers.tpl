{{/* Labels of every object. */}}
{{- define "sluice.labels" -}}
app.kubernetes.io/name: sluice
app.kubernetes.io/part-of: sluice
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* The operator's image. */}}
{{- define "sluice.image" -}}
{{- with .Values.image -}}
{{- if eq .tag "latest" }}{{ fail "image.tag: latest says nothing about what runs; name a version" }}{{ end -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end }}

{{/*
The objects of a file that deploy/base and the chart have in common, for this namespace and ServiceAccount.
root, file; without: kinds to leave out, or single objects as KIND/NAME; keep: whether `helm uninstall` leaves them;
labels: more labels. The namespace `watched` of deploy/components/namespaced is that of watchNamespace.
*/}}
{{- define "sluice.objects" -}}
{{- $root := .root -}}
{{- $without := .without | default list -}}
{{- $keep := .keep -}}
{{- $more := .labels | default dict -}}
{{- $file := .file -}}
{{- $namespace := $root.Release.Namespace -}}
{{- $account := $root.Values.serviceAccount.name -}}
{{- $watched := $root.Values.watchNamespace -}}
{{- $user := printf "system:serviceaccount:%s:%s" $namespace $account -}}
{{- $text := $root.Files.Get $file | replace "system:serviceaccount:sluice-system:sluice" $user | replace "sluice-system" $namespace -}}
{{- range $document := splitList "\n---\n" $text -}}
{{- $object := fromYaml $document -}}
{{- if hasKey $object "Error" }}{{ fail (printf "%s: %s" $file $object.Error) }}{{ end -}}
{{- if and $object.kind (not (has $object.kind $without)) (not (has (printf "%s/%s" $object.kind $object.metadata.name) $without)) -}}
{{- $_ := set $object.metadata "labels" (merge (fromYaml (include "sluice.labels" $root)) $more ($object.metadata.labels | default dict)) -}}
{{- if eq ($object.metadata.namespace | default "") "watched" -}}
{{- $_ := set $object.metadata "namespace" $watched -}}
{{- end -}}
{{- range $subject := $object.subjects | default list -}}
{{- if eq $subject.kind "ServiceAccount" -}}
{{- $_ := set $subject "name" $account -}}
{{- end -}}
{{- end -}}
{{- if eq $object.kind "ServiceAccount" -}}
{{- $_ := set $object.metadata "name" $account -}}
{{- with $root.Values.serviceAccount.annotations }}{{ $_ := set $object.metadata "annotations" . }}{{ end -}}
{{- end -}}
{{- if $keep }}{{ $_ := set $object.metadata "annotations" (merge (dict "helm.sh/resource-policy" "keep") ($object.metadata.annotations | default dict)) }}{{ end }}
---
{{ toYaml $object }}
{{- end -}}
{{- end -}}
{{- end }}
