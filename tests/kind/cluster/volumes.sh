# shellcheck shell=bash
# Ten folders of the machine as volumes of the class "standard", which claims get that name none.

VOLUMES=10

volumes_up() {
  local number
  {
    cat "$HERE/config/storage-class.yaml"
    for ((number = 0; number < VOLUMES; number++)); do
      # Pods run as various users.
      install --directory --mode=0777 "$STATE/volumes/$number"
      cat <<YAML
---
apiVersion: v1
kind: PersistentVolume
metadata: { name: local-$number }
spec:
  storageClassName: standard
  capacity: { storage: 20Gi }
  accessModes: [ReadWriteOnce]
  persistentVolumeReclaimPolicy: Retain
  hostPath: { path: $STATE/volumes/$number }
YAML
    done
  } | kubectl apply --filename - >/dev/null
}

# A volume stays with the claim that it was bound to, also when that is gone: only a new one is free again.
volumes_empty() {
  kubectl delete persistentvolumes --all --wait --timeout=60s >/dev/null
  rm -rf --one-file-system "$STATE/volumes"
}
