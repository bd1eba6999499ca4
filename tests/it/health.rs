//! `/health` and `/health/ready`, as a load balancer or a service manager asks them.

use portcullis_testkit::{Protocol, TestServer};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_whose_ledger_refuses_is_neither_live_nor_ready_and_says_why() {
    for protocol in Protocol::BOTH {
        let server = TestServer::start_over(protocol).await;
        for (path, text) in [("/health", "ok\n"), ("/health/ready", "ready\n")] {
            let reply = server.client.get(path).send().await;
            assert_eq!((reply.status.as_u16(), reply.text().as_str()), (200, text));
            assert_eq!(reply.header("cache-control"), "no-store");
        }
        server.segments.fail();
        assert_eq!(server.client.get("/nowhere").send().await.status, 503);
        for path in ["/health", "/health/ready"] {
            let reply = server.client.get(path).send().await;
            assert_eq!(reply.status, 503, "{path}");
            assert!(reply.text().contains("not available: the audit ledger cannot write"), "{path} {}", reply.text());
            assert_eq!(reply.header("retry-after"), "10");
        }
    }
}
