# shellcheck shell=bash
# The authority of the cluster, its certificates and kubeconfigs, made anew for each cluster. To be sourced after settings.sh.

# make_certificates FOLDER
make_certificates() {
  local folder=$1
  mkdir -p "$folder"
  (
    cd "$folder"
    umask 077
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.crt -days 3650 -subj '/CN=portolan-cluster' \
      -addext 'basicConstraints=critical,CA:true' -addext 'keyUsage=critical,keyCertSign,cRLSign,digitalSignature' 2>/dev/null
    openssl ecparam -name prime256v1 -genkey -noout -out service-account.key
    openssl ec -in service-account.key -pubout -out service-account.pub 2>/dev/null
    certificate apiserver /CN=kube-apiserver serverAuth \
      "DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local,IP:127.0.0.1,IP:$NODE_IP,IP:$API_SERVICE_IP"
    certificate kubelet-server "/O=system:nodes/CN=system:node:$NODE_NAME" serverAuth "DNS:$NODE_NAME,IP:$NODE_IP"
    certificate apiserver-kubelet /O=system:masters/CN=kube-apiserver-kubelet-client clientAuth
    certificate front-proxy /CN=front-proxy clientAuth
    client admin /O=system:masters/CN=portolan-admin
    client controller-manager /CN=system:kube-controller-manager
    client scheduler /CN=system:kube-scheduler
    client kubelet "/O=system:nodes/CN=system:node:$NODE_NAME"
    client proxy /CN=system:kube-proxy
  ) || fail "the certificates could not be made in $folder with openssl"
}

# certificate NAME SUBJECT USAGE [ALTERNATIVE-NAMES]
certificate() {
  local name=$1 subject=$2 usage=$3 names=${4:-} extra=()
  if [[ -n $names ]]; then extra=(-addext "subjectAltName=$names"); fi
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$name.key" -out "$name.crt" -days 3650 -subj "$subject" \
    -CA ca.crt -CAkey ca.key -addext 'basicConstraints=critical,CA:false' -addext 'keyUsage=critical,digitalSignature' \
    -addext "extendedKeyUsage=$usage" "${extra[@]}" 2>/dev/null
}

# client NAME SUBJECT: a certificate and the kubeconfig that holds it
client() {
  certificate "$1" "$2" clientAuth
  cat >"$1.kubeconfig.new" <<YAML
apiVersion: v1
kind: Config
clusters:
  - name: portolan
    cluster:
      server: https://127.0.0.1:6443
      certificate-authority-data: $(base64 -w 0 <ca.crt)
contexts:
  - name: portolan
    context: { cluster: portolan, user: $1 }
current-context: portolan
users:
  - name: $1
    user:
      client-certificate-data: $(base64 -w 0 <"$1.crt")
      client-key-data: $(base64 -w 0 <"$1.key")
YAML
  mv -f "$1.kubeconfig.new" "$1.kubeconfig"
}
