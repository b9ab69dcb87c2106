//! A server that is away for a while.

use serde_json::json;
use threatlockdown_services::opensearch::OpenSearch;
use threatlockdown_sinks::opensearch::Options;

use crate::real::{documents, request};
use crate::site::{Site, alert, until};

#[test]
fn a_server_that_was_killed_or_closed_an_index_gets_all_when_it_is_back() {
    let mut server = OpenSearch::start();
    let url = server.url();
    let mut site = Site::new(Options { bulk_items: 50, ..Options::new(vec![url.clone()]) });
    let alerts = |from: u128, to: u128| -> Vec<_> {
        (from..to).map(|n| alert(n, "2024-03-02", &json!({"n": n.to_string()}))).collect()
    };
    let index = "threatlockdown-alerts-2024.03.02";
    let delivery = site.spawn();
    site.append(&alerts(0, 200));
    until("the first alerts", || delivery.alerts() == 200);

    server.kill();
    site.append(&alerts(200, 500));
    until("failures", || delivery.failures() >= 3);
    assert!(delivery.failing().unwrap().contains(&url), "{:?}", delivery.failing());
    assert_eq!(delivery.alerts(), 200, "nothing is passed over");
    server.restart();
    until("all alerts", || delivery.alerts() == 500);
    assert_eq!(documents(&url, index).len(), 500);

    // An index closed for writing, as a full disk closes it: the operator's to mend, not the alerts' fault.
    let block = |on: bool| {
        let body = json!({"index.blocks.read_only_allow_delete": on.then_some(true)});
        request(&url, "PUT", &format!("/{index}/_settings"), &body);
    };
    block(true);
    let before = delivery.failures();
    site.append(&alerts(500, 600));
    until("failures", || delivery.failures() > before + 2);
    assert!(delivery.failing().unwrap().contains("cluster_block_exception"), "{:?}", delivery.failing());
    block(false);
    until("the rest", || delivery.alerts() == 600);
    assert_eq!(documents(&url, index).len(), 600);
    site.finish(delivery);
    let [delivered, .., rejected] = site.counted();
    assert_eq!((delivered <= 600, rejected, site.dead_letters().len()), (true, 0, 0));
}
