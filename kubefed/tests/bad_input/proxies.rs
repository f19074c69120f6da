//! `HTTPS_PROXY` and `NO_PROXY` in the environment of the programs.

use std::io::{BufRead as _, BufReader, Write as _, copy};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::spawn;

use crate::support::{ADMIN, Apiserver, Place, free_port, get, until};

/// What a proxy was asked for, a line for each connection.
type Asked = Arc<Mutex<Vec<String>>>;

/// A proxy that tunnels to wherever it is told; its address.
fn proxy() -> (String, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (url, asked) = (format!("http://{}", listener.local_addr().unwrap()), Asked::default());
    let log = Arc::clone(&asked);
    spawn(move || {
        for stream in listener.incoming() {
            let log = Arc::clone(&log);
            spawn(move || tunnel(stream?, &log));
        }
    });
    (url, asked)
}

fn tunnel(mut client: TcpStream, log: &Asked) -> std::io::Result<()> {
    let (mut lines, mut head) = (BufReader::new(client.try_clone()?), Vec::new());
    while head.last().is_none_or(|line: &String| line != "\r\n") {
        let mut line = String::new();
        lines.read_line(&mut line)?;
        head.push(line);
    }
    log.lock().unwrap().push(head[0].trim_end().to_owned());
    let mut server = TcpStream::connect(head[0].split(' ').nth(1).unwrap_or_default())?;
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
    let mut up = server.try_clone()?;
    spawn(move || copy(&mut lines, &mut up));
    copy(&mut server, &mut client).map(drop)
}

/// A server at the address that is this machine's and not loopback's, which no proxy is asked for.
fn server(place: &Place) -> (Apiserver, String) {
    let server = place.apiserver("fellowship", 0, &[]);
    let port = server.url.rsplit(':').next().unwrap().to_owned();
    place.kubeconfig(&[("fellowship", &format!("https://0.0.0.0:{port}"), ADMIN)]);
    (server, format!("CONNECT 0.0.0.0:{port} HTTP/1.1"))
}

#[test]
fn issue7_case_03_kubefed_asks_the_proxy_of_its_environment() {
    let place = Place::new();
    let (_server, connect) = server(&place);
    let (url, asked) = proxy();
    let direct = [("HTTPS_PROXY", url.as_str()), ("NO_PROXY", "example.net,0.0.0.0")];
    place.kubefed_in(&direct, &["version"]).fine();
    assert_eq!(*asked.lock().unwrap(), [""; 0], "NO_PROXY has it");
    let proxied = [("HTTPS_PROXY", url.as_str()), ("NO_PROXY", "example.net")];
    let said = place.kubefed_in(&proxied, &["version"]);
    assert!(said.fine().out.contains("Server Version"), "{}", said.out);
    let asked = asked.lock().unwrap();
    assert!(!asked.is_empty() && asked.iter().all(|line| *line == connect), "{asked:?}");
}

#[test]
fn issue7_case_03_the_controller_manager_asks_the_proxy_of_its_environment() {
    for no_proxy in ["0.0.0.0", "example.net"] {
        let place = Place::new();
        let (_server, connect) = server(&place);
        let (url, asked) = proxy();
        let environment = [("HTTPS_PROXY", url.as_str()), ("NO_PROXY", no_proxy)];
        let port = free_port();
        let flag = format!("--port={port}");
        let flags =
            ["federation-controller-manager", "--kubeconfig=.kube/config", "--federation-name=fellowship", "--address=127.0.0.1", &flag];
        let (_manager, _) = place.start_in(&environment, env!("CARGO_BIN_EXE_fcp"), &flags, "manager.log");
        let address = ([127, 0, 0, 1], port).into();
        until("ready", || get(address, "/readyz").filter(|(status, _)| *status == 200));
        let asked = asked.lock().unwrap();
        assert_eq!(asked.contains(&connect), no_proxy == "example.net", "{asked:?}");
    }
}
