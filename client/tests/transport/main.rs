//! Clients made from kubeconfigs, against servers and proxies of this process: what goes over the wire.

#![allow(clippy::unwrap_used)]

mod authority;
mod http2;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use authority::Authority;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use federation_client::{Access, Environment, Kubeconfig, Source, Target};
use rcgen::ExtendedKeyUsagePurpose;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

type Log = Arc<Mutex<Vec<String>>>;

/// Answers every request with 200, or with 401 where its token is `old`; writes `Authorization` down, or `-`.
async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, log: Log) {
    let mut head = Vec::new();
    while let Ok(byte) = stream.read_u8().await {
        head.push(byte);
        if !head.ends_with(b"\r\n\r\n") {
            continue;
        }
        let text = String::from_utf8_lossy(&head).to_lowercase();
        let said = text.lines().find_map(|l| l.strip_prefix("authorization: ")).unwrap_or("-").to_owned();
        let status = if said == "bearer old" { "401 Unauthorized" } else { "200 OK" };
        log.lock().unwrap().push(said);
        let _ = stream.write_all(format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\n{{}}").as_bytes()).await;
        head.clear();
    }
}

async fn serve(tls: Option<TlsAcceptor>) -> (SocketAddr, Log) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, log) = (listener.local_addr().unwrap(), Log::default());
    let into = Arc::clone(&log);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (tls, log) = (tls.clone(), Arc::clone(&into));
            tokio::spawn(async move {
                match tls {
                    Some(tls) => {
                        if let Ok(stream) = tls.accept(stream).await {
                            answer(stream, log).await;
                        }
                    }
                    None => answer(stream, log).await,
                }
            });
        }
    });
    (address, log)
}

/// A proxy that writes down whom it was asked for, and its own credentials, and always leads to `to`.
async fn proxy(to: SocketAddr, tls: Option<TlsAcceptor>) -> (SocketAddr, Log) {
    async fn one(mut from: impl AsyncRead + AsyncWrite + Unpin, to: SocketAddr, log: Log) -> std::io::Result<()> {
        let first = from.read_u8().await?;
        let asked = if first == 5 {
            let mut methods = vec![0; from.read_u8().await?.into()];
            from.read_exact(&mut methods).await?;
            let with_login = methods.contains(&2);
            from.write_all(&[5, if with_login { 2 } else { 0 }]).await?;
            let mut login = String::new();
            if with_login {
                from.read_u8().await?;
                for end in [":", "@"] {
                    let mut part = vec![0; from.read_u8().await?.into()];
                    from.read_exact(&mut part).await?;
                    login += &String::from_utf8_lossy(&part);
                    login += end;
                }
                from.write_all(&[1, 0]).await?;
            }
            let mut head = [0; 4];
            from.read_exact(&mut head).await?;
            assert_eq!(head[3], 3, "the proxy resolves names");
            let mut host = vec![0; from.read_u8().await?.into()];
            from.read_exact(&mut host).await?;
            let port = from.read_u16().await?;
            from.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
            format!("SOCKS5 {login}{}:{port}", String::from_utf8_lossy(&host))
        } else {
            let mut head = vec![first];
            while !head.ends_with(b"\r\n\r\n") {
                head.push(from.read_u8().await?);
            }
            from.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
            let head = String::from_utf8_lossy(&head).into_owned();
            let header = |l: &str| l.to_lowercase().starts_with("proxy-authorization: ").then(|| l[21..].to_owned());
            let login = head.lines().find_map(header);
            format!("{} {}", head.lines().next().unwrap(), login.unwrap_or_default())
        };
        log.lock().unwrap().push(asked);
        let mut onward = TcpStream::connect(to).await?;
        copy_bidirectional(&mut from, &mut onward).await.map(drop)
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, log) = (listener.local_addr().unwrap(), Log::default());
    let into = Arc::clone(&log);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (tls, log) = (tls.clone(), Arc::clone(&into));
            tokio::spawn(async move {
                match tls {
                    Some(tls) => one(tls.accept(stream).await?, to, log).await,
                    None => one(stream, to, log).await,
                }
            });
        }
    });
    (address, log)
}

fn config(cluster: &str, user: &str, authority: &Authority) -> Kubeconfig {
    let ca = BASE64.encode(&authority.pem);
    let text = format!(
        "clusters: [{{name: k, cluster: {{{cluster}, certificate-authority-data: {ca}}}}}]\nusers: [{{name: u, user: {{{user}}}}}]\n\
         contexts: [{{name: k, context: {{cluster: k, user: u}}}}]\ncurrent-context: k\n"
    );
    Kubeconfig::read(text.as_bytes(), Source::File(std::path::Path::new("config"))).unwrap()
}

async fn client(config: &Kubeconfig, environment: &Environment) -> kube::Client {
    Access::resolve(config, &Target::default(), environment).unwrap().client().await.unwrap()
}

async fn get(client: &kube::Client) -> Result<String, kube::Error> {
    client.request_text(http::Request::get("/version").body(Vec::new()).unwrap()).await
}

fn lines(log: &Log) -> Vec<String> {
    log.lock().unwrap().clone()
}

#[tokio::test]
async fn issue7_case_03_every_kind_of_proxy_leads_to_the_server() {
    let authority = Authority::new();
    let (server, heard) = serve(Some(authority.acceptor("gondor.example.net", false))).await;
    for (scheme, login, asked) in [
        ("http", "", "CONNECT gondor.example.net:6443 HTTP/1.1 "),
        ("http", "me:p%40ss@", "CONNECT gondor.example.net:6443 HTTP/1.1 Basic bWU6cEBzcw=="),
        ("socks5", "", "SOCKS5 gondor.example.net:6443"),
        ("socks5", "me:p%40ss@", "SOCKS5 me:p@ss@gondor.example.net:6443"),
        ("https", "", "CONNECT gondor.example.net:6443 HTTP/1.1 "),
    ] {
        let tls = (scheme == "https").then(|| authority.acceptor("127.0.0.1", false));
        let (proxy, log) = proxy(server, tls).await;
        let url = format!("{scheme}://{login}{proxy}");
        let by_entry = config(&format!("server: 'https://gondor.example.net:6443', proxy-url: '{url}'"), "token: t", &authority);
        assert_eq!(get(&client(&by_entry, &Environment::default()).await).await.unwrap(), "{}", "{url}");
        let plain = config("server: 'https://gondor.example.net:6443'", "token: t", &authority);
        let environment = Environment { https_proxy: url.clone(), ..Environment::default() };
        assert_eq!(get(&client(&plain, &environment).await).await.unwrap(), "{}", "HTTPS_PROXY={url}");
        assert_eq!(lines(&log), [asked, asked], "{url}");
    }
    assert!(lines(&heard).iter().all(|said| said == "bearer t"));
}

#[tokio::test]
async fn issue7_case_04_this_machine_is_never_reached_by_the_environments_proxy() {
    let authority = Authority::new();
    let (server, _) = serve(Some(authority.acceptor("127.0.0.1", false))).await;
    let environment = Environment { https_proxy: "http://127.0.0.1:9".into(), ..Environment::default() };
    let config = config(&format!("server: 'https://{server}'"), "token: t", &authority);
    assert_eq!(get(&client(&config, &environment).await).await.unwrap(), "{}");
}

#[tokio::test]
async fn issue7_case_14_another_name_in_the_certificate_is_looked_for() {
    let authority = Authority::new();
    let (server, _) = serve(Some(authority.acceptor("minas-tirith", false))).await;
    let at = |more: &str| config(&format!("server: 'https://{server}'{more}"), "token: t", &authority);
    assert!(get(&client(&at(""), &Environment::default()).await).await.is_err());
    assert!(get(&client(&at(", tls-server-name: minas-tirith"), &Environment::default()).await).await.is_ok());
}

#[tokio::test]
async fn d8_no_token_leaves_over_http() {
    let authority = Authority::new();
    let (server, heard) = serve(None).await;
    let config = config(&format!("server: 'http://{server}/prefix'"), "token: secret", &authority);
    get(&client(&config, &Environment::default()).await).await.unwrap();
    assert_eq!(lines(&heard), ["-"]);
}

#[tokio::test]
async fn a_plugin_runs_again_after_a_401_and_its_certificate_is_presented() {
    let authority = Authority::new();
    let (server, heard) = serve(Some(authority.acceptor("127.0.0.1", true))).await;
    let dir = tempfile::tempdir().unwrap();
    let (cert, key) = authority.sign("frodo", ExtendedKeyUsagePurpose::ClientAuth);
    for (name, token) in [("old.json", "old"), ("new.json", "new")] {
        let status = serde_json::json!({"token": token, "clientCertificateData": cert, "clientKeyData": key});
        let answer = serde_json::json!({"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status});
        std::fs::write(dir.path().join(name), answer.to_string()).unwrap();
    }
    let script = format!("cd {}; cat old.json 2>/dev/null || cat new.json; rm -f old.json", dir.path().display());
    let exec =
        format!("exec: {{command: /bin/sh, args: [-c, '{script}'], apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never}}");
    let client = client(&config(&format!("server: 'https://{server}'"), &exec, &authority), &Environment::default()).await;
    assert!(get(&client).await.is_err(), "401");
    assert!(get(&client).await.is_ok());
    assert!(get(&client).await.is_ok());
    assert_eq!(lines(&heard), ["bearer old", "bearer new", "bearer new"]);
}
