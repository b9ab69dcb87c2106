//! The custom rules of a published posture set-up, unchanged: they load beside the built-in rules and fire on rows of
//! Defender for Cloud as the Log Analytics query gives them.

use serde_json::json;

use crate::harness::{Site, Task, rule_ids};

pub(super) const RULES: &str = r#"<group name="azure,">
  <rule id="100200" level="10"><if_sid>87801</if_sid><field name="Type">SecurityRecommendation</field><description>Azure Security Posture: $(RecommendationName).</description></rule>
  <rule id="100201" level="10"><if_sid>87801</if_sid><field name="Type">SecurityAlert</field><field name="ResourceId">Microsoft.Compute</field><description>Azure Security Posture: $(DisplayName).</description><mitre><id>T1651</id></mitre></rule>
  <rule id="100202" level="10"><if_sid>87801</if_sid><field name="Type">SecurityAlert</field><field name="ResourceId">microsoft.keyvault</field><description>Azure Security Posture: $(DisplayName).</description><mitre><id>T1098.004</id></mitre></rule>
  <rule id="100203" level="10"><if_sid>87801</if_sid><field name="Type">SecurityAlert</field><field name="ResourceId">Microsoft.Web</field><description>Azure Security Posture: $(DisplayName).</description><mitre><id>T1648</id></mitre></rule>
  <rule id="100204" level="10"><if_sid>87801</if_sid><field name="Type">SecurityAlert</field><field name="ResourceId">Microsoft.ApiManagement</field><description>Azure Security Posture: $(DisplayName).</description><mitre><id>T1059.009</id></mitre></rule>
  <rule id="100205" level="10"><if_sid>87801</if_sid><field name="Type">SecurityAlert</field><field name="ResourceId">Microsoft.ContainerService|cluster</field><description>Azure Security Posture: $(DisplayName).</description><mitre><id>T1609</id></mitre></rule>
</group>
"#;

/// A row of SecurityAlert about a resource of this provider.
fn alert(item: u32, provider: &str) -> String {
    json!({
        "TenantId": "6f1ed002-ab55-4c2e-9f4b-2d5e3c0a7711",
        "TimeGenerated": "2026-11-20T10:00:11.4070000Z",
        "DisplayName": format!("Something about {provider}"),
        "AlertSeverity": "High",
        "ProviderName": "Azure Security Center",
        "ResourceId": format!("/subscriptions/0b1f6471/resourceGroups/rg/providers/{provider}/things/x1"),
        "Type": "SecurityAlert",
        "_ItemId": format!("5f0c2a10-0000-4000-8000-{item:012}"),
    })
    .to_string()
}

#[test]
fn each_custom_rule_fires_on_its_rows() {
    let site = Site::new();
    let rules = site.write("posture.xml", RULES);
    let recommendation = json!({
        "TenantId": "6f1ed002-ab55-4c2e-9f4b-2d5e3c0a7711",
        "TimeGenerated": "2026-11-20T10:00:11.4070000Z",
        "RecommendationName": "Storage accounts should restrict network access",
        "RecommendationState": "Unhealthy",
        "AssessedResourceId": "/subscriptions/0b1f6471/resourceGroups/rg/providers/microsoft.storage/storageAccounts/x1",
        "Type": "SecurityRecommendation",
        "_ItemId": "5f0c2a10-0000-4000-8000-000000000100",
    })
    .to_string();
    let rows = [
        ("100200", recommendation),
        ("100201", alert(1, "Microsoft.Compute")),
        ("100202", alert(2, "Microsoft.KeyVault")),
        ("100203", alert(3, "Microsoft.Web")),
        ("100204", alert(4, "Microsoft.ApiManagement")),
        ("100205", alert(5, "Microsoft.ContainerService")),
        ("100205", alert(6, "Microsoft.Other/cluster")),
    ];
    let input = |join: &str| rows.iter().map(|(_, row)| row.as_str()).collect::<Vec<_>>().join(join);
    let expected: Vec<&str> = rows.iter().map(|(rule, _)| *rule).collect();
    // As rows of a query, and as the array of a saved answer.
    for text in [input("\n"), format!("[{}]", input(","))] {
        let task = Task::new(["scan", "--source", "azure.log_analytics", "--rules"]).arg(&rules).arg("-");
        let alerts = task.input(text).run().with_code(1).json();
        assert_eq!(rule_ids(&alerts), expected);
        assert_eq!(
            alerts[0]["rule"]["description"],
            "Azure Security Posture: Storage accounts should restrict network access."
        );
        assert_eq!(alerts[1]["rule"]["mitre"]["id"], json!(["T1651"]));
        for alert in &alerts {
            assert_eq!(alert["rule"]["level"], 10);
            assert!(alert["rule"]["groups"].as_array().unwrap().contains(&json!("azure")), "{alert}");
        }
    }
}

#[test]
fn a_row_that_misses_one_condition_goes_to_another_rule() {
    let site = Site::new();
    let rules = site.write("posture.xml", RULES);
    let other_provider = alert(10, "Microsoft.Nothing");
    let other_table = alert(11, "Microsoft.Compute").replace("\"SecurityAlert\"", "\"Heartbeat\"");
    let input = format!("{other_provider}\n{other_table}\n");
    let task = Task::new(["scan", "--source", "azure.log_analytics", "--rules"]).arg(&rules).arg("-");
    let alerts = task.input(input).run().json();
    assert!(rule_ids(&alerts).iter().all(|rule| !rule.starts_with("1002")), "{:?}", rule_ids(&alerts));
    // Without the tag of the workspace's rows, no rule of this family is asked.
    let task = Task::new(["scan", "--source", "json", "--rules"]).arg(&rules).arg("-");
    assert_eq!(task.input(alert(12, "Microsoft.Compute")).run().with_code(0).stdout, "");
}
