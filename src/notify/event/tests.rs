//! The two forms of a notification, checked by hand, and that no text of others gets out of its quotes.

use proptest::prelude::*;

use super::*;

fn event(word: SinkEvent, subject: Subject) -> Event {
    Event {
        word,
        id: Event::id("demo", "shop-3-abc", word, ""),
        order: None,
        at: "2026-01-02T03:04:05.678Z".parse().unwrap(),
        subject,
        namespace: "demo".to_owned(),
        rollout: "shop".to_owned(),
        release: "shop-3-abc".to_owned(),
        workload: "Deployment/shop".to_owned(),
        artifact: "pkg:oci/shop?tag=v3".to_owned(),
        message: "errors 5% against 0.1%".to_owned(),
        link: None,
        data: Map::new(),
    }
}

fn read(event: &Event, format: SinkFormat, environment: Option<&str>) -> Value {
    serde_json::from_slice(&event.body(format, environment).0).unwrap()
}

#[test]
fn an_upgraded_service_is_a_cloud_event() {
    let mut event = event(SinkEvent::Promoted, Subject::Service { predicate: "upgraded" });
    event.data.insert("number".to_owned(), json!(3));
    let (_, content_type) = event.body(SinkFormat::CloudEvents, None);
    assert_eq!(content_type, "application/cloudevents+json; charset=utf-8");
    let source = "/sluice/eu-1/namespaces/demo/rollouts/shop";
    let expected = json!({
        "specversion": "1.0",
        "id": event.id,
        "source": source,
        "type": "dev.cdevents.service.upgraded.0.3.0",
        "subject": "demo/Deployment/shop",
        "time": "2026-01-02T03:04:05.678Z",
        "datacontenttype": "application/json",
        "data": {
            "context": {
                "specversion": "0.5.0",
                "id": event.id,
                "source": source,
                "type": "dev.cdevents.service.upgraded.0.3.0",
                "timestamp": "2026-01-02T03:04:05.678Z",
                "chainId": uuid("demo/shop-3-abc"),
            },
            "subject": {
                "id": "demo/Deployment/shop",
                "source": source,
                "content": {"environment": {"id": "eu-1/demo"}, "artifactId": "pkg:oci/shop?tag=v3"},
            },
            "customData": {"number": 3},
            "customDataContentType": "application/json",
        },
    });
    assert_eq!(read(&event, SinkFormat::CloudEvents, Some("eu-1")), expected);
    assert_eq!(read(&event, SinkFormat::CloudEvents, None)["source"], "/sluice/namespaces/demo/rollouts/shop");
}

#[test]
fn an_incident_names_the_service_and_what_it_comes_from() {
    let release = "shop-3-abc".to_owned();
    let mut event = event(SinkEvent::IncidentResolved, Subject::Incident { predicate: "resolved", release });
    event.link = Some(Link::Path("other".to_owned()));
    let data = read(&event, SinkFormat::CloudEvents, None)["data"].clone();
    assert_eq!(data["context"]["type"], "dev.cdevents.incident.resolved.0.3.0");
    assert_eq!(data["context"]["links"], json!([{"linkType": "PATH", "from": {"contextId": "other"}}]));
    let expected = json!({
        "id": "demo/shop-3-abc",
        "source": "/sluice/namespaces/demo/rollouts/shop",
        "content": {
            "description": "errors 5% against 0.1%",
            "environment": {"id": "demo"},
            "service": {"id": "demo/Deployment/shop"},
            "artifactId": "pkg:oci/shop?tag=v3",
        },
    });
    assert_eq!(data["subject"], expected);
    event.link = Some(Link::Trigger("other".to_owned()));
    let link = json!([{"linkType": "RELATION", "linkKind": "TRIGGER", "target": {"contextId": "other"}}]);
    assert_eq!(read(&event, SinkFormat::CloudEvents, None)["data"]["context"]["links"], link);
}

#[test]
fn an_approval_is_asked_for_and_closed_under_one_name() {
    let asked = read(&event(SinkEvent::AwaitingApproval, Subject::Asked { number: 1 }), SinkFormat::CloudEvents, None);
    let by = "jane@example.com".to_owned();
    let subject = Subject::Approved { number: 1, by };
    let closed = read(&event(SinkEvent::Approved, subject), SinkFormat::CloudEvents, None);
    assert_eq!(asked["subject"], "demo/shop-3-abc/approval-1");
    assert_eq!(asked["subject"], closed["subject"]);
    assert_eq!(asked["type"], "dev.cdevents.approval.created.0.1.0");
    assert_eq!(closed["type"], "dev.cdevents.approval.closed.0.1.0");
    assert_eq!(asked["data"]["context"]["specversion"], "0.6.0-draft");
    let urls = [
        "/apis/sluice.dev/v1alpha1/namespaces/demo/rollouts/shop",
        "/apis/sluice.dev/v1alpha1/namespaces/demo/releases/shop-3-abc",
    ];
    let created = json!({
        "approvalDetailsUrl": urls[0], "resourceTargetUrl": urls[1], "requestor": "urn:sluice:operator",
    });
    assert_eq!(asked["data"]["subject"]["content"], created);
    let decided = json!({
        "approvalDetailsUrl": urls[0], "resourceTargetUrl": urls[1],
        "responder": "urn:kubernetes:user:jane%40example.com", "decision": "errors 5% against 0.1%", "status": "approved",
    });
    assert_eq!(closed["data"]["subject"]["content"], decided);
}

#[test]
fn what_no_standard_has_a_word_for_is_ours() {
    // The pattern of CDEvents for types of others: one word for the tool and one for the subject.
    for predicate in ["aborted", "superseded", "failed"] {
        let told = read(&event(SinkEvent::Aborted, Subject::Attempt { predicate }), SinkFormat::CloudEvents, None);
        assert_eq!(told["type"], format!("dev.cdeventsx.sluice-attempt.{predicate}.0.1.0"));
        assert_eq!(told["subject"], "demo/shop-3-abc");
    }
}

#[test]
fn slack_gets_one_line() {
    let told =
        read(&event(SinkEvent::RolledBack, Subject::Service { predicate: "rolledback" }), SinkFormat::Slack, None);
    let expected = json!({
        "text": "Rolled back: demo/shop, release shop-3-abc: errors 5% against 0.1%",
        "mrkdwn": false, "unfurl_links": false, "unfurl_media": false,
    });
    assert_eq!(told, expected);
}

#[test]
fn what_others_wrote_mentions_nobody_and_links_nowhere() {
    let mut event = event(SinkEvent::Aborted, Subject::Attempt { predicate: "aborted" });
    event.message = cut("<!channel> <@U1> @here \"q\"\n{\"text\":1} [pay](http://x) <http://x|y> &lt;!all>", SENTENCE);
    event.rollout = "a<!here>".to_owned();
    let told = read(&event, SinkFormat::Slack, Some("<b>"));
    let text = told["text"].as_str().unwrap();
    assert_eq!(
        text,
        "Aborted: demo/a&lt;!here&gt; in &lt;b&gt;, release shop-3-abc: &lt;!channel&gt; &lt;@\u{200b}U1&gt; \
         @\u{200b}here \"q\" {\"text\":1} [pay]\u{200b}(http://x) &lt;http://x|y&gt; &amp;lt;!all&gt;"
    );
    assert_eq!(told.as_object().unwrap().len(), 4);
    event.namespace = "../\"?#\n".to_owned();
    let told = read(&event, SinkFormat::CloudEvents, None);
    assert_eq!(told["source"], "/sluice/namespaces/..%2F%22%3F%23%0A/rollouts/a%3C%21here%3E");
}

#[test]
fn an_id_is_the_same_each_time_and_another_for_everything_else() {
    let of = |release: &str, word, key: &str| Event::id("demo", release, word, key);
    let one = of("shop-3-abc", SinkEvent::Approved, "0");
    // Pinned: with another id every receiver would take what it has had for something new.
    assert_eq!(one, "092e6d8d-b5d7-8c0f-972c-3d6d6607c569");
    for other in [
        of("shop-3-abc", SinkEvent::Approved, "1"),
        of("shop-3-abd", SinkEvent::Approved, "0"),
        of("shop-3-abc", SinkEvent::AwaitingApproval, "0"),
        Event::id("demo2", "shop-3-abc", SinkEvent::Approved, "0"),
    ] {
        assert_ne!(one, other);
    }
}

#[test]
fn long_text_is_cut_and_says_so() {
    assert_eq!(cut("abc", 3), "abc");
    assert_eq!(cut("abcd", 3), "ab…");
    assert_eq!(cut("a\r\n\t\u{7f}\u{2028}b", 9), "a     b");
}

proptest! {
    #![proptest_config(crate::nasty::cases(200))]

    /// Whatever people write, each form is valid JSON of a bounded size, and nothing in it becomes structure.
    #[test]
    fn any_text_gives_a_bounded_body(message in crate::nasty::text(), name in crate::nasty::text(), many in 1_usize..3000) {
        let mut event = event(SinkEvent::IncidentDetected, Subject::Incident { predicate: "detected", release: name.clone() });
        event.message = cut(&message.repeat(many), SENTENCE);
        event.rollout = name.clone();
        event.namespace = name.repeat(many);
        event.workload = name.clone();
        for key in ["reason", "signal", "release"] {
            event.data.insert(key.to_owned(), Value::from(cut(&name.repeat(many), WORD)));
        }
        for format in [SinkFormat::CloudEvents, SinkFormat::Slack] {
            let (body, _) = event.body(format, Some(&name));
            prop_assert!(body.len() <= 64 * 1024, "{} bytes", body.len());
            let told: Value = serde_json::from_slice(&body).unwrap();
            prop_assert!(told.is_object());
            if format == SinkFormat::Slack {
                let text = told["text"].as_str().unwrap();
                prop_assert!(!text.contains(['<', '>', '\n']), "{text}");
            }
        }
    }
}
