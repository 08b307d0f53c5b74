//! What a start has found is asked for: when its first question leaves.

use std::time::Duration;

use domain::time::{Instant, TransmissionTime};
use futures_lite::AsyncWriteExt as _;
use glommio::net::TcpStream;
use router::selection::CallOutcome;

use super::super::super::connector::tests::{with_query, written};
use super::super::tests::{Scene, approve, on_executor, read_head, reads};
use crate::issuer::Received;

/// A link that is up, with one connection, to an issuer that has a query.
async fn scene(connections_max: usize) -> Scene {
    Scene::open(|plan| {
        plan.connections_max = connections_max;
        plan.query = with_query(true).query;
        plan.query.as_mut().unwrap().pending_max = 100;
    })
    .await
}

/// The loop asks for one of before this start. By its age the next question is a minute away.
async fn inquire(scene: &Scene, stan: &str) {
    let created = scene.clock.wall().before(Duration::from_secs(600));
    let created = TransmissionTime::at(created).digits();
    let fields: [(u8, &[u8]); 2] = [(7, &created), (11, stan.as_bytes())];
    scene.send(&written(*b"0201", &fields), Instant::FAR_FUTURE);
    let (told, received) = scene.told().await;
    let Received::Pending { call, .. } = received else {
        panic!("{told}: {received:?}");
    };
    assert_eq!((&*told, call), (stan, CallOutcome::NotCalled));
}

/// The issuer is asked for a payment: its id.
async fn asked(stream: &mut TcpStream) -> String {
    let head = read_head(stream).await;
    let rest = head.strip_prefix("GET /v1/payments/").expect("a question");
    rest.split(' ').next().unwrap().to_owned()
}

/// The issuer is asked for the payment of this STAN, and has it.
async fn tells_paid(stream: &mut TcpStream, stan: &str) {
    let our_id = asked(stream).await;
    assert!(our_id.ends_with(stan), "{our_id}");
    let amount = r#"{"value":152300,"currency":"KES"}"#;
    let body = format!(r#"{{"status":"OK","id":"{our_id}","amount":{amount}}}"#);
    let len = body.len();
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {len}\r\n\r\n{body}");
    stream.write_all(answer.as_bytes()).await.unwrap();
}

//= docs/rules.md#T-16
/// What a payer has paid meanwhile is known as soon as there is a way to ask.
#[test]
fn a_first_question_that_could_not_leave_is_tried_again_soon() {
    on_executor(|| async {
        let mut scene = scene(1).await;
        scene.submit("000001", Instant::FAR_FUTURE);
        reads(&mut scene.first, "000001", "submit").await;
        inquire(&scene, "000002").await;
        approve(&mut scene.first, "000001").await;
        scene.tells("000001", Received::Message).await;
        tells_paid(&mut scene.first, "000002").await;
        scene.tells("000002", Received::Message).await;
    });
}

//= docs/rules.md#T-16
/// Of four connections they take one, in their order; the others are for what comes.
#[test]
fn what_a_start_has_found_leaves_connections_to_what_comes() {
    on_executor(|| async {
        let mut scene = scene(4).await;
        for stan in ["000001", "000002", "000003", "000004"] {
            inquire(&scene, stan).await;
        }
        let mut live = Vec::new();
        for stan in ["000005", "000006", "000007"] {
            scene.submit(stan, Instant::FAR_FUTURE);
            let mut stream = scene.listener.accept().await.unwrap();
            reads(&mut stream, stan, "submit").await;
            live.push(stream);
        }
        for stan in ["000001", "000002", "000003", "000004"] {
            tells_paid(&mut scene.first, stan).await;
            scene.tells(stan, Received::Message).await;
        }
    });
}
