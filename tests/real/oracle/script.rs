//! The commands, and the files they read.

use std::path::Path;

use anyhow::Result;

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
];

/// `@name` becomes the path of a file.
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
delete deployment web -n shire --cascade=background --wait=false
delete configmap ring song -n shire
delete configmap ring -n shire
delete secret -n shire --all
get secrets -n shire -o name
"#;

/// The steps as argument lists; the files are written into `dir`.
pub(crate) fn steps(dir: &Path) -> Result<Vec<Vec<String>>> {
    for (name, text) in FILES {
        std::fs::write(dir.join(name), text)?;
    }
    let word = |w: &str| w.strip_prefix('@').map_or_else(|| w.to_owned(), |name| dir.join(name).display().to_string());
    Ok(COMMANDS.lines().filter(|l| !l.is_empty()).map(|l| l.split(' ').map(word).collect()).collect())
}
