//! Jobs run once, and go when their time is over.

use serde_json::{Value, json};

use crate::bed::{Bed, DEPLOYMENTS, deployment};

const JOBS: &str = "/apis/batch/v1/namespaces/demo/jobs";

fn job(ttl: &Value) -> Value {
    let template = json!({"spec": {"restartPolicy": "Never", "containers": [{"name": "sum", "image": "sum:1"}]}});
    json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "sum", "namespace": "demo"},
        "spec": {"parallelism": 2, "completions": 2, "ttlSecondsAfterFinished": ttl, "template": template},
    })
}

/// What a Job controller says of a Job that ran to its end.
fn complete() -> Value {
    let now = jiff::Timestamp::now().strftime("%FT%TZ").to_string();
    let condition = |type_: &str| json!({"type": type_, "status": "True", "lastProbeTime": now, "lastTransitionTime": now});
    let conditions = [condition("SuccessCriteriaMet"), condition("Complete")];
    json!({"status": {"succeeded": 1, "startTime": now, "completionTime": now, "conditions": conditions, "uncountedTerminatedPods": {}}})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_finished_job_that_a_member_deletes_does_not_run_again() {
    let mut bed = Bed::start().await;
    bed.namespace().await;
    bed.federation.create(JOBS, job(&Value::Null)).await;
    let path = format!("{JOBS}/sum");
    bed.gondor.until_there(&path).await;
    bed.rohan.until_there(&path).await;
    bed.gondor.merge(&format!("{path}/status"), complete()).await;
    bed.federation.until(&path, |j| j.is_some_and(|j| j["status"]["succeeded"] == 1)).await;
    bed.gondor.delete(&path, Some("Background")).await;
    bed.gondor.until_gone(&path).await;
    // What comes after shows that its absence was looked at; a restart remembers it as well.
    for _ in 0..2 {
        bed.has_settled(&[&bed.gondor]).await;
        assert_eq!(bed.gondor.get(&path).await, None);
        bed.stop().await;
        bed.run();
    }
    assert_eq!(bed.federation.get(&path).await.unwrap()["status"]["succeeded"], 1);
    // How it ended is known as well: the last one to finish makes the whole complete.
    bed.rohan.merge(&format!("{path}/status"), complete()).await;
    let finished = |j: &Value| j["status"]["succeeded"] == 2 && j["status"]["conditions"][0]["type"] == "Complete";
    bed.federation.until(&path, |j| j.is_some_and(finished)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_finished_job_does_not_run_elsewhere_when_its_cluster_is_lost() {
    let bed = Bed::start().await;
    bed.namespace().await;
    let mut one = job(&Value::Null);
    one["spec"]["completions"] = 1.into();
    one["spec"]["parallelism"] = 1.into();
    bed.federation.create(JOBS, one).await;
    let path = format!("{JOBS}/sum");
    let (ran, other) = loop {
        match (bed.gondor.get(&path).await, bed.rohan.get(&path).await) {
            (Some(_), None) => break (("gondor", &bed.gondor), &bed.rohan),
            (None, Some(_)) => break (("rohan", &bed.rohan), &bed.gondor),
            _ => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
        }
    };
    ran.1.merge(&format!("{path}/status"), complete()).await;
    bed.federation.until(&path, |j| j.is_some_and(|j| j["status"]["conditions"][0]["type"] == "Complete")).await;
    bed.federation.create(DEPLOYMENTS, deployment("web", 2, &json!({"rebalance": true, "clusters": {"*": {"weight": 1}}}))).await;
    let web = format!("{DEPLOYMENTS}/web");
    ran.1.cut(true);
    bed.until_cluster(ran.0, "Offline").await;
    // All replicas are there: so its loss was taken in.
    other.until(&web, |d| d.is_some_and(|d| d["spec"]["replicas"] == 2)).await;
    bed.has_settled(&[other]).await;
    assert_eq!(other.get(&path).await, None, "the Job runs again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_goes_everywhere_when_its_time_after_the_finish_is_over() {
    let bed = Bed::start().await;
    bed.namespace().await;
    bed.federation.create(JOBS, job(&json!(2))).await;
    let path = format!("{JOBS}/sum");
    bed.gondor.until_there(&path).await;
    bed.rohan.until_there(&path).await;
    assert_eq!(bed.gondor.get(&path).await.unwrap()["spec"]["ttlSecondsAfterFinished"], Value::Null);
    bed.gondor.merge(&format!("{path}/status"), complete()).await;
    bed.rohan.merge(&format!("{path}/status"), complete()).await;
    let finished = |j: &Value| j["status"]["succeeded"] == 2 && j["status"]["conditions"][0]["type"] == "Complete";
    bed.federation.until(&path, |j| j.is_some_and(finished)).await;
    bed.federation.until_gone(&path).await;
    assert!(bed.gondor.get(&path).await.is_none() && bed.rohan.get(&path).await.is_none());
}
