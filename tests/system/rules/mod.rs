//! `rules test`, `rules list`, `rules convert`, `rules compile`, `rules profile`, `rules publish`, and installations that are rule sources.

mod compile;
mod convert;
mod home;
mod list;
mod profile;
mod publish;
mod test;

/// Two rules below a built-in one.
pub(crate) const OWN: &str = r#"<group name="own,console,">
  <rule id="100300" level="12">
    <if_sid>80254</if_sid>
    <field name="aws.userIdentity.userName">^alice$</field>
    <description>Alice again: $(aws.sourceIPAddress).</description>
    <mitre><id>T1110</id></mitre>
    <group>authentication_failures,pci_dss_10.2.4,</group>
  </rule>
  <rule id="100301" level="3">
    <if_sid>80254</if_sid>
    <field name="aws.userIdentity.userName">^bob$</field>
    <description>Bob.</description>
  </rule>
</group>
"#;
