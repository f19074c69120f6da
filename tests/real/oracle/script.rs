//! The commands, and the files they read.

use std::path::Path;

use anyhow::Result;

/// Of `openssl req`, in base64: three organizations and five subject alternative names.
const REQUEST: &str = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlJQmxqQ0NBVHNDQVFBd1ZERVFNQTRHQTFVRUNnd0hhRzlpWW1sMGN6RVZNQk1HQTFVRUNnd01jbWx1WnkxaQpaV0Z5WlhKek1Sa3dGd1lEVlFRS0RCQm1jbWxsYm1SeklHOW1JR1ZzZG1Wek1RNHdEQVlEVlFRRERBVm1jbTlrCmJ6QlpNQk1HQnlxR1NNNDlBZ0VHQ0NxR1NNNDlBd0VIQTBJQUJLa2dUZUN4T2tSTjVRd1RzNGg4WS9jY2tYRGIKTHJ0em9FWlh2MWpzNEp0MFR0T1lmeFM3eVE1UVhxS3BSVCtmcUZNREE5Mno4TDE1TE4yMkFIb2J0djZnZ1lRdwpnWUVHQ1NxR1NJYjNEUUVKRGpGME1ISXdVZ1lEVlIwUkJFc3dTWUlNWW1GblpXNWtMbk5vYVhKbGh3VEdFZ0FICmh4RDlBQUFBQUFBQUFBQUFBQUFBQUFBSGdRdG1jbTlrYjBCemFHbHlaWVlVYzNCcFptWmxPaTh2YzJocGNtVXYKWm5KdlpHOHdDd1lEVlIwUEJBUURBZ0lFTUE4R0ExVWRFd0VCL3dRRk1BTUJBZjh3Q2dZSUtvWkl6ajBFQXdJRApTUUF3UmdJaEFJQUNzb3JXWFNWaXY4eU1kZ0pSOE16QUcvdWxGelFhOE9JY0tzRGpVWXptQWlFQXgvdmdGa1NiClVzWWJ0c0kzZlZzdTR6bDVqOWsrSnhTVndTdlcvbHlBRmhnPQotLS0tLUVORCBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0K";

/// Where `%REQUEST%` stands, [`REQUEST`] goes.
const FILES: &[(&str, &str)] = &[
    (
        "config.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: song, namespace: shire, labels: {a: b}}\ndata: {one: '1', two: '2'}\n",
    ),
    (
        "config2.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: song, namespace: shire, labels: {c: d}}\ndata: {two: '2', three: '3'}\n",
    ),
    (
        "web.yaml",
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: shire}\nspec:\n  replicas: 2\n  selector: {matchLabels: {app: web}}\n  template:\n    metadata: {labels: {app: web}}\n    spec:\n      containers:\n      - name: web\n        image: nginx:1\n        ports: [{containerPort: 80}]\n        env: [{name: A, value: a}]\n      - name: side\n        image: busybox\n",
    ),
    (
        "web2.yaml",
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: shire}\nspec:\n  replicas: 3\n  selector: {matchLabels: {app: web}}\n  template:\n    metadata: {labels: {app: web}}\n    spec:\n      containers:\n      - name: web\n        image: nginx:2\n        ports: [{containerPort: 80}, {containerPort: 443}]\n        env: [{name: B, value: b}]\n",
    ),
    (
        "mismatch.yaml",
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: bad, namespace: shire}\nspec:\n  selector: {matchLabels: {app: web}}\n  template:\n    metadata: {labels: {app: other}}\n    spec: {containers: [{name: web, image: nginx}]}\n",
    ),
    (
        "unknown.yaml",
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: bad, namespace: shire}\nspec:\n  replica: 3\n  selector: {matchLabels: {app: web}}\n  template:\n    metadata: {labels: {app: web}}\n    spec: {containers: [{name: web, image: nginx}]}\n",
    ),
    (
        "service.yaml",
        "apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: shire}\nspec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}\n",
    ),
    (
        "badport.yaml",
        "apiVersion: v1\nkind: Service\nmetadata: {name: bad, namespace: shire}\nspec: {selector: {app: web}, ports: [{port: 70000}]}\n",
    ),
    ("noports.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: bad, namespace: shire}\nspec: {selector: {app: web}}\n"),
    (
        "job.yaml",
        "apiVersion: batch/v1\nkind: Job\nmetadata: {name: dig, namespace: shire}\nspec: {template: {spec: {restartPolicy: Never, containers: [{name: dig, image: busybox}]}}}\n",
    ),
    (
        "hpa.yaml",
        "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: web, namespace: shire}\nspec: {maxReplicas: 5, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}}\n",
    ),
    (
        "ingress.yaml",
        "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: web, namespace: shire}\nspec: {rules: [{host: a.example.com, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}}]}\n",
    ),
    ("kept.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: kept, namespace: shire, finalizers: [example.com/keep]}\n"),
    (
        "daemon.yaml",
        "apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: watch, namespace: shire}\nspec:\n  selector: {matchLabels: {app: watch}}\n  template:\n    metadata: {labels: {app: watch}}\n    spec: {containers: [{name: watch, image: busybox, resources: {requests: {cpu: 0.5, memory: 64Mi}}}]}\n",
    ),
    (
        "replicas.yaml",
        "apiVersion: apps/v1\nkind: ReplicaSet\nmetadata: {name: riders, namespace: shire}\nspec:\n  replicas: 3\n  selector: {matchExpressions: [{key: app, operator: In, values: [riders]}]}\n  template:\n    metadata: {labels: {app: riders}}\n    spec: {containers: [{name: horse, image: busybox}], terminationGracePeriodSeconds: 5}\n",
    ),
    (
        "lease.yaml",
        "apiVersion: coordination.k8s.io/v1\nkind: Lease\nmetadata: {name: bagend, namespace: shire}\nspec: {holderIdentity: frodo, leaseDurationSeconds: 15, renewTime: '2026-01-02T03:04:05.678901Z'}\n",
    ),
    (
        "badlease.yaml",
        "apiVersion: coordination.k8s.io/v1\nkind: Lease\nmetadata: {name: bad, namespace: shire}\nspec: {leaseDurationSeconds: 0, leaseTransitions: -1}\n",
    ),
    (
        "slice.yaml",
        "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: web-a, namespace: shire, labels: {kubernetes.io/service-name: web}}\naddressType: IPv4\nports: [{name: http, port: 80}]\nendpoints: [{addresses: [10.1.2.3], conditions: {ready: true}}]\n",
    ),
    // Where there are no Services: kube-apiserver writes events about those.
    (
        "event.yaml",
        "apiVersion: v1\nkind: Event\nmetadata: {name: web.1, namespace: bree}\ninvolvedObject: {apiVersion: apps/v1, kind: Deployment, name: web, namespace: bree}\nreason: Burned\nmessage: too hot\ntype: Warning\nsource: {component: forge}\nfirstTimestamp: '2026-01-02T03:04:05Z'\nlastTimestamp: '2026-01-02T03:04:05Z'\ncount: 1\n",
    ),
    (
        "clusterrole.yaml",
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: 'shire:warden'}\nrules:\n- {apiGroups: [''], resources: [configmaps], verbs: [get]}\n- {nonResourceURLs: [/song], verbs: [get]}\n",
    ),
    (
        "badbinding.yaml",
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {name: bad}\nroleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: x}\nsubjects: [{kind: Hobbit, name: sam}]\n",
    ),
    ("stale.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: tale, namespace: shire, resourceVersion: '1'}\ndata: {one: stale}\n"),
    ("tale.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: tale, namespace: shire}\ndata: {one: new}\n"),
    ("never.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: never, namespace: shire}\ndata: {one: new}\n"),
    ("frozen.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: frozen, namespace: shire}\nimmutable: true\ndata: {a: b}\n"),
    ("badlabel.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: bad, namespace: shire, labels: {-a: 'b c'}}\n"),
    ("preconditions.json", "{\"kind\":\"DeleteOptions\",\"apiVersion\":\"v1\",\"preconditions\":{\"uid\":\"nobody\"}}"),
    ("broken.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: bad, namespace: shire}\ndata: [one, two]\n"),
    (
        "badjob.yaml",
        "apiVersion: batch/v1\nkind: Job\nmetadata: {name: bad, namespace: shire}\nspec: {parallelism: -1, template: {spec: {restartPolicy: Always, containers: [{name: Dig, image: busybox}]}}}\n",
    ),
    (
        "stateful.yaml",
        "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: db, namespace: shire}\nspec:\n  serviceName: db\n  replicas: 2\n  selector: {matchLabels: {app: db}}\n  template:\n    metadata: {labels: {app: db}}\n    spec: {containers: [{name: db, image: busybox, volumeMounts: [{name: data, mountPath: /data}]}]}\n  volumeClaimTemplates:\n  - metadata: {name: data}\n    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}\n",
    ),
    (
        "cron.yaml",
        "apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: night, namespace: shire}\nspec: {schedule: '0 4 * * *', jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: dig, image: busybox}]}}}}}\n",
    ),
    (
        "badcron.yaml",
        "apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: bad, namespace: shire}\nspec: {schedule: '0 4 * * *', concurrencyPolicy: Perhaps, jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: dig, image: busybox}]}}}}}\n",
    ),
    (
        "wall.yaml",
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: wall, namespace: shire}\nspec: {podSelector: {matchLabels: {app: web}}, ingress: [{from: [{podSelector: {}}], ports: [{port: 80}]}]}\n",
    ),
    (
        "badwall.yaml",
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: bad, namespace: shire}\nspec: {podSelector: {}, ingress: [{from: [{}], ports: [{endPort: 2}, {port: 80, endPort: 79}]}]}\n",
    ),
    (
        "oldhpa.yaml",
        "apiVersion: autoscaling/v1\nkind: HorizontalPodAutoscaler\nmetadata: {name: old, namespace: shire, annotations: {note: one, autoscaling.alpha.kubernetes.io/metrics: '[{\"type\":\"Pods\",\"pods\":{\"metricName\":\"songs\",\"targetAverageValue\":\"1000m\"}}]'}}\nspec: {maxReplicas: 4, targetCPUUtilizationPercentage: 50, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}}\n",
    ),
    (
        "songs.yaml",
        "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: songs, namespace: shire}\nspec:\n  maxReplicas: 4\n  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}\n  behavior: {scaleDown: {stabilizationWindowSeconds: 60, policies: [{type: Pods, value: 1, periodSeconds: 60}]}}\n  metrics:\n  - {type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 60}}}\n  - {type: Resource, resource: {name: memory, target: {type: AverageValue, averageValue: 1Gi}}}\n  - {type: ContainerResource, containerResource: {name: cpu, container: web, target: {type: Utilization, averageUtilization: 70}}}\n  - {type: Pods, pods: {metric: {name: songs, selector: {matchLabels: {a: b}, matchExpressions: [{key: c, operator: In, values: [d]}]}}, target: {type: AverageValue, averageValue: '5'}}}\n  - {type: Object, object: {describedObject: {apiVersion: v1, kind: Service, name: web}, metric: {name: hits}, target: {type: Value, value: 2k}}}\n  - {type: Object, object: {describedObject: {apiVersion: v1, kind: Service, name: web}, metric: {name: hits}, target: {type: AverageValue, averageValue: 20m}}}\n  - {type: External, external: {metric: {name: queue}, target: {type: AverageValue, averageValue: '30'}}}\n  - {type: External, external: {metric: {name: queue}, target: {type: Value, value: '40'}}}\n",
    ),
    (
        "oldsongs.yaml",
        "apiVersion: autoscaling/v1\nkind: HorizontalPodAutoscaler\nmetadata: {name: songs, namespace: shire}\nspec: {maxReplicas: 4, targetCPUUtilizationPercentage: 65, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}}\n",
    ),
    (
        "badoldhpa.yaml",
        "apiVersion: autoscaling/v1\nkind: HorizontalPodAutoscaler\nmetadata: {name: bad, namespace: shire}\nspec: {minReplicas: 5, maxReplicas: 4, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}}\n",
    ),
    (
        "newoldhpa.yaml",
        "apiVersion: autoscaling/v1\nkind: HorizontalPodAutoscaler\nmetadata: {name: bad, namespace: shire}\nspec: {maxReplicas: 4, metrics: [], scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}}\n",
    ),
    (
        "claim.yaml",
        "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: data, namespace: shire}\nspec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}\n",
    ),
    (
        "badclaim.yaml",
        "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: bad, namespace: shire}\nspec: {accessModes: [ReadWriteOncePod, ReadWriteOnce], resources: {requests: {storage: '0'}}}\n",
    ),
    (
        "budget.yaml",
        "apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: web, namespace: shire}\nspec: {minAvailable: 50%, selector: {matchLabels: {app: web}}}\n",
    ),
    (
        "badbudget.yaml",
        "apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: bad, namespace: shire}\nspec: {maxUnavailable: 101%, selector: {matchLabels: {app: web}}}\n",
    ),
    (
        "ring.yaml",
        "apiVersion: certificates.k8s.io/v1\nkind: CertificateSigningRequest\nmetadata: {name: ring}\nspec: {request: %REQUEST%, signerName: kubernetes.io/kube-apiserver-client, usages: [client auth], expirationSeconds: 7200, username: gollum, groups: [system:masters]}\n",
    ),
    (
        "precious.yaml",
        "apiVersion: certificates.k8s.io/v1\nkind: CertificateSigningRequest\nmetadata: {name: precious}\nspec: {request: %REQUEST%, signerName: example.com/smith, usages: [server auth]}\n",
    ),
    (
        "badrequest.yaml",
        "apiVersion: certificates.k8s.io/v1\nkind: CertificateSigningRequest\nmetadata: {name: badrequest}\nspec: {request: %REQUEST%, signerName: nobody, usages: [world peace], expirationSeconds: 1}\n",
    ),
    ("tls.yaml", "apiVersion: v1\nkind: Secret\nmetadata: {name: bad, namespace: shire}\ntype: kubernetes.io/tls\ndata: {tls.crt: YQ==}\n"),
];

/// `@name` becomes the path of a file, `~` a space within a word.
const COMMANDS: &str = r#"
create namespace shire
create namespace shire
create namespace Bad_Name
get namespace shire -o json
get namespaces shire --show-labels
create configmap ring -n shire --from-literal=bearer=frodo
create configmap ring -n shire --from-literal=bearer=sam
create configmap lost -n nowhere --from-literal=a=b
get configmap ring -n shire -o json --show-managed-fields
get configmap ring -n shire
get configmaps -n shire -l a=b -o name
label configmap ring -n shire metal=gold
label configmap ring -n shire metal=iron
label configmap ring -n shire metal=iron --overwrite
annotate configmap ring -n shire note=one
label configmap ring -n shire metal-
get configmap ring -n shire -o json --show-managed-fields
patch configmap ring -n shire --type=merge -p {"data":{"bearer":null,"maker":"celebrimbor"}}
patch configmap ring -n shire --type=json -p [{"op":"add","path":"/data/place","value":"eregion"},{"op":"test","path":"/data/maker","value":"celebrimbor"}]
patch configmap ring -n shire --type=json -p [{"op":"test","path":"/data/maker","value":"sauron"}]
patch configmap ring -n shire --type=json -p [{"op":"remove","path":"/data/nothing"}]
patch configmap gone -n shire --type=merge -p {"data":{"a":"b"}}
get configmap ring -n shire -o json
apply -f @config.yaml
apply -f @config.yaml
apply -f @config2.yaml
get configmap song -n shire -o json
apply --server-side -f @config.yaml
apply --server-side --force-conflicts -f @config.yaml
apply --server-side -f @config2.yaml --field-manager=other
apply --server-side -f @config2.yaml --field-manager=other --force-conflicts
get configmap song -n shire -o json --show-managed-fields
apply -f @web.yaml
get deployment web -n shire -o json
get deployment web -n shire
get deployment web -n shire -o wide
apply -f @web2.yaml
get deployment web -n shire -o json --show-managed-fields
set image deployment/web -n shire web=nginx:3
scale deployment web -n shire --replicas=7
scale deployment web -n shire --replicas=4 --current-replicas=9
get deployment web -n shire -o jsonpath={.spec.replicas}/{.metadata.generation}
patch deployment web -n shire -p {"spec":{"template":{"spec":{"containers":[{"name":"side","image":"busybox:2"}]}}}}
patch deployment web -n shire -p {"spec":{"template":{"spec":{"containers":[{"$patch":"delete","name":"side"}]}}}}
patch deployment web -n shire -p {"spec":{"selector":{"matchLabels":{"app":"other"}}}}
get deployment web -n shire -o json
apply -f @mismatch.yaml
apply -f @unknown.yaml
apply -f @unknown.yaml --validate=warn --dry-run=server -o name
create deployment web -n shire --image=nginx
create deployment other -n shire --image=nginx --replicas=2 --dry-run=server -o name
get deployment other -n shire
apply -f @service.yaml
get service web -n shire -o json
apply -f @badport.yaml
apply -f @noports.yaml
create secret generic key -n shire --from-literal=a=b
get secret key -n shire -o json
get secret key -n shire
create serviceaccount frodo -n shire
get serviceaccount frodo -n shire -o json
apply -f @job.yaml --dry-run=server -o name
apply -f @hpa.yaml
get hpa web -n shire -o json
get hpa.v1.autoscaling web -n shire -o json
get hpa.v1.autoscaling web -n shire -o wide
patch hpa.v1.autoscaling web -n shire --type=merge -p {"spec":{"maxReplicas":9}}
get hpa web -n shire -o json --show-managed-fields
apply -f @oldhpa.yaml
apply -f @oldhpa.yaml
get hpa old -n shire -o json
get hpa.v1.autoscaling old -n shire -o json --show-managed-fields
patch hpa.v1.autoscaling old -n shire --type=merge -p {"spec":{"targetCPUUtilizationPercentage":70}}
patch hpa.v1.autoscaling old -n shire --type=json -p [{"op":"remove","path":"/spec/targetCPUUtilizationPercentage"},{"op":"remove","path":"/metadata/annotations/autoscaling.alpha.kubernetes.io~1metrics"}]
get hpa old -n shire -o json --show-managed-fields
apply --server-side -f @songs.yaml
get hpa songs -n shire -o json
get hpa.v1.autoscaling songs -n shire -o json
apply --server-side -f @oldsongs.yaml --field-manager=other
apply --server-side -f @oldsongs.yaml --field-manager=other --force-conflicts
get hpa songs -n shire -o json --show-managed-fields
apply --server-side -f @songs.yaml
apply --server-side -f @oldsongs.yaml
get hpa.v1.autoscaling songs -n shire -o json --show-managed-fields
apply --server-side -f @songs.yaml --force-conflicts
patch hpa songs -n shire --subresource=status --type=merge -p {"status":{"currentReplicas":2,"desiredReplicas":3,"currentMetrics":[{"type":"Resource","resource":{"name":"cpu","current":{"averageUtilization":12,"averageValue":"3m"}}},{"type":"Pods","pods":{"metric":{"name":"songs"},"current":{"averageValue":"7"}}},{"type":"Object","object":{"describedObject":{"apiVersion":"v1","kind":"Service","name":"web"},"metric":{"name":"hits"},"current":{"averageValue":"7"}}},{"type":"External","external":{"metric":{"name":"queue"},"current":{"value":"7"}}}],"conditions":[{"type":"AbleToScale","status":"True","lastTransitionTime":"2026-01-01T00:00:00Z","reason":"Ready","message":"a~<b>~&~c"}]}}
get hpa.v1.autoscaling songs -n shire -o json --show-managed-fields
get hpa.v1.autoscaling -n shire
get hpa.v1.autoscaling -n shire -o json
get hpa.v1.autoscaling -n shire -w -o jsonpath={.apiVersion}{.metadata.annotations}{.spec}{.status} --request-timeout=2s
patch hpa.v1.autoscaling songs -n shire --subresource=status --type=merge -p {"status":{"currentCPUUtilizationPercentage":9},"metadata":{"annotations":{"autoscaling.alpha.kubernetes.io/current-metrics":null}}}
get hpa songs -n shire --subresource=status -o json
annotate hpa songs -n shire autoscaling.alpha.kubernetes.io/conditions=[] note=two
get hpa songs -n shire -o jsonpath={.metadata.annotations}/{.status.conditions}
apply -f @badoldhpa.yaml
apply -f @newoldhpa.yaml
apply -f @newoldhpa.yaml --validate=warn --dry-run=server -o json
autoscale deployment web -n shire --name=scaled --min=2 --max=5 --cpu=50%
get hpa.v1.autoscaling scaled -n shire -o json
explain horizontalpodautoscaler.spec --api-version=autoscaling/v1
explain horizontalpodautoscaler.spec
api-resources --api-group=autoscaling --no-headers
get --raw /apis/autoscaling
delete hpa.v1.autoscaling old songs scaled -n shire
apply -f @ingress.yaml
get ingress web -n shire -o json
get ingress web -n shire
create role reader -n shire --verb=get,list --resource=configmaps
create rolebinding reader -n shire --role=reader --user=sam
get role reader -n shire -o json
get rolebinding reader -n shire -o json
auth can-i list configmaps -n shire --as=sam
auth can-i delete configmaps -n shire --as=sam
get configmaps -n shire --as=sam -o name
get secrets -n shire --as=sam -o name
get configmaps -n shire --chunk-size=1 -o name
get configmaps -n shire --field-selector=metadata.name=ring -o name
get configmaps -n shire --field-selector=data.one=1 -o name
get configmaps,secrets,deployments -n shire -o name
get nosuchkind -n shire
get configmap nosuch -n shire
get --raw /api/v1/namespaces/shire/configmaps/nosuch
get --raw /apis/nosuch/v1
apply -f @kept.yaml
delete configmap kept -n shire --wait=false
get configmap kept -n shire -o json
patch configmap kept -n shire --type=merge -p {"metadata":{"finalizers":null}}
get configmap kept -n shire
apply -f @daemon.yaml
get daemonset watch -n shire -o json
get daemonset watch -n shire
rollout restart daemonset/watch -n shire --dry-run=server -o name
patch daemonset watch -n shire --subresource=status --type=merge -p {"status":{"numberReady":2,"desiredNumberScheduled":3},"spec":{"minReadySeconds":9}}
get daemonset watch -n shire -o json --show-managed-fields
apply -f @replicas.yaml
get replicaset riders -n shire -o json
get replicaset riders -n shire -o wide
get replicasets -n shire --field-selector=status.replicas=0 -o name
get replicasets -n shire --field-selector=spec.replicas=0 -o name
scale replicaset riders -n shire --replicas=-1
get --raw /apis/apps/v1/namespaces/shire/replicasets/riders/scale
patch replicaset riders -n shire --type=merge -p {"spec":{"replicas":"many"}}
patch replicaset riders -n shire --type=merge -p {"spec":{"selector":{"matchLabels":{"a":"b"}}}}
create -f @job.yaml
get job dig -n shire -o json
get job dig -n shire
patch job dig -n shire --type=merge -p {"spec":{"completions":4}}
patch job dig -n shire --type=merge -p {"spec":{"parallelism":2,"suspend":true}}
get jobs -n shire --field-selector=status.successful=0 -o name
apply -f @badjob.yaml
delete job dig -n shire --cascade=orphan --wait=false
apply -f @stateful.yaml
get statefulset db -n shire -o json
get statefulset db -n shire -o wide
scale statefulset db -n shire --replicas=3
get --raw /apis/apps/v1/namespaces/shire/statefulsets/db/scale
patch statefulset db -n shire --type=merge -p {"spec":{"serviceName":"other"}}
patch statefulset db -n shire --subresource=status --type=merge -p {"status":{"replicas":3,"readyReplicas":2,"observedGeneration":2},"spec":{"replicas":9}}
get sts db -n shire -o json
rollout restart statefulset/db -n shire --dry-run=server -o name
rollout status statefulset/db -n shire --timeout=1s
apply -f @cron.yaml
get cronjob night -n shire -o json
get cronjob night -n shire -o wide
patch cronjob night -n shire --type=merge -p {"spec":{"suspend":true}}
get cj night -n shire -o jsonpath={.spec.suspend}/{.metadata.generation}
apply -f @badcron.yaml
apply -f @wall.yaml
get networkpolicy wall -n shire -o json
get netpol wall -n shire
patch networkpolicy wall -n shire --type=merge -p {"spec":{"egress":[{}],"policyTypes":["Egress"]}}
get networkpolicy wall -n shire -o json --show-managed-fields
apply -f @badwall.yaml
apply -f @claim.yaml
get persistentvolumeclaim data -n shire -o jsonpath={.spec}/{.status}/{.metadata.generation}
get pvc data -n shire -o wide
patch pvc data -n shire --subresource=status --type=merge -p {"status":{"phase":"Bound","capacity":{"storage":"1Gi"}}}
patch pvc data -n shire --type=merge -p {"spec":{"resources":{"requests":{"storage":"1Mi"}}}}
apply -f @badclaim.yaml
apply -f @budget.yaml
get poddisruptionbudget web -n shire -o json
get pdb web -n shire
patch pdb web -n shire --type=merge -p {"spec":{"minAvailable":2}}
patch pdb web -n shire --subresource=status --type=merge -p {"status":{"currentHealthy":3,"disruptionsAllowed":1}}
get pdb web -n shire -o json --show-managed-fields
create poddisruptionbudget other -n shire --selector=app=web --max-unavailable=1
apply -f @badbudget.yaml
api-resources --api-group=policy --no-headers
delete statefulset,cronjob,networkpolicy,poddisruptionbudget --all -n shire --wait=false
apply -f @lease.yaml
get lease bagend -n shire -o json
get lease bagend -n shire
apply -f @badlease.yaml
apply -f @slice.yaml
get endpointslice web-a -n shire -o json
get endpointslice web-a -n shire
patch endpointslice web-a -n shire --type=merge -p {"addressType":"FQDN"}
create namespace bree
create -f @event.yaml
get events -n bree
get events -n bree --field-selector=type=Warning,reason=Burned -o name
get events -n bree --field-selector=involvedObject.name=nobody -o name
get events -n bree --field-selector=colour=red
get event web.1 -n bree -o json
delete events --all -n bree
apply -f @clusterrole.yaml
get clusterrole shire:warden -o json
create clusterrolebinding wardens --clusterrole=shire:warden --user=sam --group=hobbits
get clusterrolebinding wardens -o json
get clusterrolebinding wardens -o wide
patch clusterrolebinding wardens --type=merge -p {"roleRef":{"name":"other"}}
apply -f @badbinding.yaml
auth can-i get configmaps -n shire --as=merry --as-group=hobbits
auth can-i get /song --as=sam
auth reconcile -f @clusterrole.yaml
get configmap tale -n shire -o name --ignore-not-found
replace -f @tale.yaml
create -f @tale.yaml -o name
replace -f @tale.yaml
replace -f @stale.yaml
replace --force -f @tale.yaml
get configmap tale -n shire -o json --show-managed-fields
diff -f @never.yaml
diff -f @tale.yaml
create -f @never.yaml --dry-run=server -o json
apply -f @never.yaml --dry-run=server
apply --server-side -f @never.yaml --dry-run=server -o name
get configmap never -n shire
apply -f @broken.yaml
apply -f @badlabel.yaml
apply -f @tls.yaml
apply -f @frozen.yaml
patch configmap frozen -n shire --type=merge -p {"data":{"a":"c"}}
patch configmap frozen -n shire --type=merge -p {"immutable":false}
label configmap frozen -n shire tier=gold
label configmap tale -n shire tier=silver
label configmap tale -n shire tier=not~ok
get configmaps -n shire -l tier~in~(gold,silver) -o name
get configmaps -n shire -l tier~notin~(gold) -o name
get configmaps -n shire -l !tier -o name
get configmaps -n shire -l tier,tier!=gold -o name
get configmaps -n shire -l tier=in=gold
get configmaps -n shire -l a~in~() -o name
get configmaps -n shire -l -a=b -o name
get configmaps -n shire --field-selector=metadata.name!=tale -o name
get configmaps -n shire -o name --sort-by=.metadata.name
get configmaps -A --field-selector=metadata.namespace=shire,metadata.name=tale
get configmaps -n shire -w -o name --request-timeout=2s
create secret generic typed -n shire --type=example.com/ring --from-literal=a=b
get secrets -n shire --field-selector=type=example.com/ring -o name
get secrets -n shire --field-selector=kind=Secret
patch secret typed -n shire --type=merge -p {"type":"other"}
patch secret typed -n shire --type=merge -p {"stringData":{"c":"d"}}
get secret typed -n shire -o jsonpath={.data}
patch configmap tale -n shire --type=merge -p {"metadata":{"finalizers":["loose"]}}
patch configmap tale -n shire --type=merge -p {"metadata":{"finalizers":["example.com/a"]}}
delete -n shire --raw /api/v1/namespaces/shire/configmaps/tale -f @preconditions.json
delete configmap tale -n shire --wait=false
patch configmap tale -n shire --type=merge -p {"metadata":{"finalizers":["example.com/a","example.com/b"]}}
wait configmap/tale -n shire --for=delete --timeout=1s
wait configmap/tale -n shire --for=jsonpath={.data.one}=new --timeout=5s
patch configmap tale -n shire --type=json -p [{"op":"remove","path":"/metadata/finalizers"}]
wait configmap/tale -n shire --for=delete --timeout=5s
patch configmap frozen -n shire --type=merge -p {"metadata":{"name":"thawed"}}
patch configmap frozen -n shire --type=merge -p {"metadata":{"resourceVersion":"1"}}
patch configmap frozen -n shire --type=merge -p {"metadata":{"uid":"nobody"}}
patch configmap frozen -n shire --type=merge -p {"metadata":{"managedFields":[{}]}}
get configmap frozen -n shire -o json --show-managed-fields
patch configmap frozen -n shire --type=merge -p []
patch configmap frozen -n shire --type=merge -p {"colour":"red"}
patch deployment web -n shire --subresource=scale --type=merge -p {"spec":{"replicas":2}}
patch deployment web -n shire --subresource=status --type=merge -p {"status":{"replicas":2}}
get deployment web -n shire --subresource=status -o jsonpath={.status}
rollout status deployment/web -n shire --timeout=1s
set env deployment/web -n shire COLOUR=red
autoscale replicaset riders -n shire --max=3
explain deployment.spec.replicas
explain deployment.spec.strategy
explain service.spec.ports
explain nosuch.spec
api-resources --api-group=rbac.authorization.k8s.io --no-headers
api-resources --api-group=coordination.k8s.io --no-headers
api-resources --api-group=discovery.k8s.io --no-headers
api-resources --api-group=authorization.k8s.io --no-headers
get --raw /api/v1/namespaces/shire/configmaps?labelSelector=a+b
get --raw /api/v1/namespaces/shire/configmaps?resourceVersion=-1
get --raw /apis/apps/v1/namespaces/shire/nosuch
get --raw /api/v1/nosuch/x/y/z
apply -f @ring.yaml
get csr ring
get csr ring -o json --show-managed-fields
certificate approve ring
certificate approve ring
get csr ring -o json --show-managed-fields
certificate deny ring
apply -f @precious.yaml
certificate deny precious
get csr -o wide
get csr --field-selector=spec.signerName=example.com/smith -o name
get csr --field-selector=spec.username=gollum
apply -f @badrequest.yaml
certificate approve nobody
patch csr precious --type=merge -p {"spec":{"signerName":"example.com/other"}}
patch csr precious --type=merge -p {"metadata":{"labels":{"a":"b"}},"status":{"conditions":null}}
patch csr precious --subresource=approval --type=merge -p {"status":{"conditions":[]}}
patch csr precious --subresource=status --type=merge -p {"status":{"certificate":"bm9uc2Vuc2U="}}
patch csr precious --subresource=status --type=merge -p {"status":{"conditions":[{"type":"Approved","status":"True"},{"type":"Denied","status":"True"}]}}
get csr precious -o json --show-managed-fields
auth can-i approve signers.certificates.k8s.io --as=sam
api-resources --api-group=certificates.k8s.io --no-headers
delete csr ring precious
delete daemonset,replicaset --all -n shire --wait=false
delete deployment web -n shire --cascade=background --wait=false
delete configmap ring song -n shire
delete configmap ring -n shire
delete secret -n shire --all
get secrets -n shire -o name
"#;

/// The steps as argument lists; the files are written into `dir`.
pub(crate) fn steps(dir: &Path) -> Result<Vec<Vec<String>>> {
    for (name, text) in FILES {
        std::fs::write(dir.join(name), text.replace("%REQUEST%", REQUEST))?;
    }
    let word = |w: &str| w.strip_prefix('@').map_or_else(|| w.replace('~', " "), |name| dir.join(name).display().to_string());
    Ok(COMMANDS.lines().filter(|l| !l.is_empty()).map(|l| l.split(' ').map(word).collect()).collect())
}
