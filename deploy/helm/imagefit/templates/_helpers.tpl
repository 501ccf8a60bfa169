{{- define "imagefit.image" -}}
{{ .Values.image.repository }}{{ if .Values.image.digest }}@{{ .Values.image.digest }}{{ else }}:{{ .Values.image.tag | default .Chart.AppVersion | replace "+" "-" }}{{ end }}
{{- end }}

{{- define "imagefit.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "imagefit.onNode" -}}
{{- with .Values.imagePullSecrets -}}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{ end -}}
priorityClassName: system-node-critical
terminationGracePeriodSeconds: 30
hostPID: true # to find the node's process 1
nodeSelector: {{- toYaml .Values.install.nodeSelector | nindent 2 }}
tolerations: {{- toYaml .Values.install.tolerations | nindent 2 }}
volumes:
  - name: lib # the programs lie there while the installer runs
    hostPath: {path: /var/lib}
{{- end }}

{{- define "imagefit.installer" -}}
image: {{ include "imagefit.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
env:
  - name: POD_NAME
    valueFrom: {fieldRef: {fieldPath: metadata.name}}
ports:
  - {name: http, containerPort: 9464}
readinessProbe:
  httpGet: {path: /readyz, port: http}
resources: {{- toYaml .Values.install.resources | nindent 2 }}
securityContext:
  runAsUser: 0
  privileged: true # to enter the node's file system
  readOnlyRootFilesystem: true
volumeMounts:
  - {name: lib, mountPath: /host/var/lib}
{{- end }}
