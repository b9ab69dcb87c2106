//! Events of several clouds, as an organisation that uses all of them would collect them.
//!
//! Enters: a seed. Leaves: records in their providers' shapes, each with its source: CloudTrail, GuardDuty, audit entries
//! from Pub/Sub, Microsoft 365, GitHub, Docker, the Azure activity log. The clock moves on by about 25 ms a record.

use std::fmt::Write as _;

use crate::clock::Clock;
use crate::cloudtrail::CloudTrail;
use crate::random::Random;

/// The sources of the records, by their numbers.
pub const SOURCES: &[&str] =
    &["aws.cloudtrail", "aws.guardduty", "gcp.pubsub", "office365", "github", "docker", "azure.activity"];
/// How many of a hundred records are of each source.
const SHARES: &[u64] = &[38, 3, 15, 16, 6, 10, 12];

/// Verb of the method, and whether it changes something.
const METHODS: &[(&str, &str)] = &[
    ("storage.googleapis.com", "storage.objects.get"),
    ("storage.googleapis.com", "storage.buckets.list"),
    ("compute.googleapis.com", "v1.compute.instances.list"),
    ("compute.googleapis.com", "v1.compute.firewalls.insert"),
    ("iam.googleapis.com", "google.iam.admin.v1.ListServiceAccounts"),
    ("iam.googleapis.com", "google.iam.admin.v1.CreateServiceAccountKey"),
    ("cloudresourcemanager.googleapis.com", "SetIamPolicy"),
    ("container.googleapis.com", "google.container.v1.ClusterManager.GetCluster"),
];
const FINDINGS: &[(&str, u64)] = &[
    ("Recon:EC2/PortProbeUnprotectedPort", 2),
    ("UnauthorizedAccess:EC2/SSHBruteForce", 5),
    ("CryptoCurrency:EC2/BitcoinTool.B!DNS", 8),
    ("Policy:IAMUser/RootCredentialUsage", 1),
];
const OPERATIONS: &[(&str, &str, u64)] = &[
    ("UserLoggedIn", "AzureActiveDirectory", 15),
    ("UserLoginFailed", "AzureActiveDirectory", 15),
    ("FileAccessed", "SharePoint", 6),
    ("FileDownloaded", "SharePoint", 6),
    ("FileModified", "OneDrive", 6),
    ("MailItemsAccessed", "Exchange", 50),
    ("Set-Mailbox", "Exchange", 1),
    ("MessageSent", "MicrosoftTeams", 25),
];
const ACTIONS: &[&str] = &[
    "git.clone",
    "git.fetch",
    "git.push",
    "pull_request.merge",
    "repo.create",
    "org.add_member",
    "protected_branch.policy_override",
    "workflows.completed_workflow_run",
];
const STATES: &[&str] =
    &["create", "start", "die", "exec_create: /bin/sh -c healthcheck", "kill", "destroy", "pull"];
const ACTIVITIES: &[(&str, &str, &str)] = &[
    ("MICROSOFT.COMPUTE/VIRTUALMACHINES/START/ACTION", "Administrative", "virtualMachines"),
    ("MICROSOFT.STORAGE/STORAGEACCOUNTS/LISTKEYS/ACTION", "Administrative", "storageAccounts"),
    (
        "MICROSOFT.NETWORK/NETWORKSECURITYGROUPS/SECURITYRULES/WRITE",
        "Administrative",
        "networkSecurityGroups",
    ),
    ("MICROSOFT.AUTHORIZATION/ROLEASSIGNMENTS/WRITE", "Administrative", "roleAssignments"),
    ("MICROSOFT.AUTHORIZATION/POLICIES/AUDIT/ACTION", "Policy", "sites"),
    ("MICROSOFT.RESOURCEHEALTH/HEALTHEVENT/ACTIVATED/ACTION", "ResourceHealth", "virtualMachines"),
];

/// Makes one record after another.
#[derive(Debug, Clone)]
pub struct Mix {
    random: Random,
    clock: Clock,
    cloudtrail: CloudTrail,
}

impl Mix {
    /// Starts at `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { random: Random::new(seed), clock: Clock::default(), cloudtrail: CloudTrail::new(seed) }
    }

    /// Appends the next record, without a line end; the number of its source in [`SOURCES`].
    pub fn write(&mut self, out: &mut String) -> usize {
        let pause = self.random.below(50);
        self.clock.advance(pause);
        let mut at = self.random.below(SHARES.iter().sum());
        let mut source = 0;
        for (index, share) in SHARES.iter().enumerate() {
            source = index;
            if at < *share {
                break;
            }
            at -= share;
        }
        match source {
            0 => self.cloudtrail.write(out),
            1 => self.guardduty(out),
            2 => self.pubsub(out),
            3 => self.office(out),
            4 => self.github(out),
            5 => self.docker(out),
            _ => self.activity(out),
        }
        source
    }

    fn guardduty(&mut self, out: &mut String) {
        let (kind, severity) = *self.random.pick(FINDINGS);
        let (time, id, instance, address) =
            (self.clock.iso(), self.hex(), self.random.below(0xffff_ffff), self.address());
        let _ = write!(
            out,
            r#"{{"schemaVersion":"2.0","accountId":"111122220000","region":"eu-west-1","partition":"aws","id":"{id}","arn":"arn:aws:guardduty:eu-west-1:111122220000:detector/d0example/finding/{id}","type":"{kind}","resource":{{"resourceType":"Instance","instanceDetails":{{"instanceId":"i-0{instance:08x}","instanceType":"t3.medium","launchTime":"2026-09-02T08:00:00Z","platform":null,"productCodes":[],"networkInterfaces":[{{"networkInterfaceId":"eni-0{instance:08x}","privateIpAddress":"10.0.4.17","subnetId":"subnet-0a1b2c3d","vpcId":"vpc-0a1b2c3d","securityGroups":[{{"groupName":"web","groupId":"sg-0a1b2c3d"}}],"publicIp":"198.51.100.7"}}],"tags":[{{"key":"app","value":"checkout"}}],"instanceState":"running","availabilityZone":"eu-west-1a","imageId":"ami-0a1b2c3d","imageDescription":null}}}},"service":{{"serviceName":"guardduty","detectorId":"d0example","action":{{"actionType":"NETWORK_CONNECTION","networkConnectionAction":{{"connectionDirection":"INBOUND","remoteIpDetails":{{"ipAddressV4":"{address}","organization":{{"asn":"64496","asnOrg":"Example","isp":"Example","org":"Example"}},"country":{{"countryName":"Nowhere"}},"city":{{"cityName":"Nowhere"}},"geoLocation":{{"lat":1.5,"lon":2.25}}}},"remotePortDetails":{{"port":41022,"portName":"Unknown"}},"localPortDetails":{{"port":22,"portName":"SSH"}},"protocol":"TCP","blocked":false}}}},"resourceRole":"TARGET","additionalInfo":{{"value":"{{}}","type":"default"}},"eventFirstSeen":"{time}Z","eventLastSeen":"{time}Z","archived":false,"count":7}},"severity":{severity},"createdAt":"{time}Z","updatedAt":"{time}Z","title":"An instance was contacted from an unusual address.","description":"The instance i-0{instance:08x} was contacted by {address}, which is not one of its usual peers."}}"#
        );
    }

    fn pubsub(&mut self, out: &mut String) {
        let (service, method) = *self.random.pick(METHODS);
        let (time, user, address) = (self.clock.iso(), self.user(), self.address());
        let (id, name) = (self.random.below(0xffff_ffff), self.random.below(500));
        let status = if self.random.below(20) == 0 {
            r#"{"code":7,"message":"Permission denied on resource."}"#
        } else {
            "{}"
        };
        let _ = write!(
            out,
            r#"{{"protoPayload":{{"@type":"type.googleapis.com/google.cloud.audit.AuditLog","status":{status},"authenticationInfo":{{"principalEmail":"{user}@example.com"}},"requestMetadata":{{"callerIp":"{address}","callerSuppliedUserAgent":"google-cloud-sdk gcloud/494.0.0,gzip(gfe)","requestAttributes":{{"time":"{time}Z","auth":{{}}}},"destinationAttributes":{{}}}},"serviceName":"{service}","methodName":"{method}","authorizationInfo":[{{"resource":"projects/example-prod/things/thing-{name}","permission":"{method}","granted":true,"resourceAttributes":{{}}}}],"resourceName":"projects/example-prod/things/thing-{name}","request":{{"@type":"type.googleapis.com/Request","name":"thing-{name}"}}}},"insertId":"{id:08x}","resource":{{"type":"project","labels":{{"project_id":"example-prod","location":"europe-west3","service":"{service}"}}}},"timestamp":"{time}Z","severity":"NOTICE","logName":"projects/example-prod/logs/cloudaudit.googleapis.com%2Factivity","receiveTimestamp":"{time}Z"}}"#
        );
    }

    fn office(&mut self, out: &mut String) {
        let (operation, workload, kind) = *self.random.pick(OPERATIONS);
        let (time, user, address, id) = (self.clock.iso(), self.user(), self.address(), self.hex());
        let result = if operation == "UserLoginFailed" { "Failed" } else { "Succeeded" };
        let _ = write!(
            out,
            r#"{{"CreationTime":"{}","Id":"{id}","Operation":"{operation}","OrganizationId":"3f0e1c52-0000-4000-8000-000000000001","RecordType":{kind},"ResultStatus":"{result}","UserKey":"{user}@example.com","UserType":0,"Version":1,"Workload":"{workload}","ClientIP":"{address}","ObjectId":"https://example.sharepoint.com/sites/team/Shared Documents/{user}/plan.xlsx","UserId":"{user}@example.com","AzureActiveDirectoryEventType":1,"ExtendedProperties":[{{"Name":"UserAgent","Value":"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36"}},{{"Name":"RequestType","Value":"OAuth2:Authorize"}}],"ModifiedProperties":[],"Actor":[{{"ID":"{user}@example.com","Type":5}}],"ActorContextId":"3f0e1c52-0000-4000-8000-000000000001","InterSystemsId":"{id}","Target":[{{"ID":"Unknown","Type":0}}],"ApplicationId":"00000003-0000-0000-c000-000000000000"}}"#,
            &time[..19]
        );
    }

    fn github(&mut self, out: &mut String) {
        let action = *self.random.pick(ACTIONS);
        let (user, id, repository) = (self.user(), self.hex(), self.random.below(80));
        let millis = self.clock.millis();
        let _ = write!(
            out,
            r#"{{"@timestamp":{millis},"_document_id":"{id}","action":"{action}","actor":"{user}","actor_id":{},"actor_location":{{"country_code":"DE"}},"business":"example","business_id":4711,"created_at":{millis},"operation_type":"access","org":"example-org","org_id":815,"repo":"example-org/service-{repository}","repository_public":false,"transport_protocol_name":"ssh","user_agent":"git/2.47.0"}}"#,
            10_000 + repository
        );
    }

    fn docker(&mut self, out: &mut String) {
        let status = *self.random.pick(STATES);
        let (id, name, seconds) = (self.hex(), self.random.below(200), self.clock.seconds());
        let nanoseconds = self.random.below(1_000_000_000);
        let _ = write!(
            out,
            r#"{{"status":"{status}","id":"{id}{id}","from":"registry.example.com/app:1.{name}","Type":"container","Action":"{status}","Actor":{{"ID":"{id}{id}","Attributes":{{"image":"registry.example.com/app:1.{name}","name":"app-{name}","com.docker.compose.project":"shop","com.docker.compose.service":"app"}}}},"scope":"local","time":{seconds},"timeNano":{seconds}{nanoseconds:09}}}"#
        );
    }

    fn activity(&mut self, out: &mut String) {
        let (operation, category, resource) = *self.random.pick(ACTIVITIES);
        let (time, user, address) = (self.clock.iso(), self.user(), self.address());
        let (id, name) = (self.hex(), self.random.below(300));
        let result = if self.random.below(15) == 0 { "Failure" } else { "Success" };
        let _ = write!(
            out,
            r#"{{"RoleLocation":"West Europe","ReleaseVersion":"6.2026.46.1","time":"{time}0000Z","resourceId":"/SUBSCRIPTIONS/3F0E1C52-0000-4000-8000-000000000001/RESOURCEGROUPS/PROD/PROVIDERS/{resource}/R-{name}","operationName":"{operation}","category":"{category}","resultType":"{result}","resultSignature":"Succeeded.","durationMs":"31","callerIpAddress":"{address}","correlationId":"{id}","identity":{{"authorization":{{"scope":"/subscriptions/3f0e1c52-0000-4000-8000-000000000001/resourceGroups/prod","action":"{operation}","evidence":{{"role":"Contributor","roleAssignmentScope":"/subscriptions/3f0e1c52-0000-4000-8000-000000000001","principalType":"User"}}}},"claims":{{"aud":"https://management.core.windows.net/","iss":"https://sts.windows.net/3f0e1c52-0000-4000-8000-000000000002/","appid":"04b07795-8ddb-461a-bbee-02f9e1bf7b46","ipaddr":"{address}","name":"{user}","http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn":"{user}@example.com"}}}},"level":"Information","properties":{{"eventCategory":"{category}","entity":"/subscriptions/3f0e1c52-0000-4000-8000-000000000001/resourceGroups/prod/providers/{resource}/r-{name}","message":"{operation}","hierarchy":"3f0e1c52-0000-4000-8000-000000000002"}},"tenantId":"3f0e1c52-0000-4000-8000-000000000002"}}"#
        );
    }

    fn hex(&mut self) -> String {
        format!("{:016x}{:016x}", self.random.number(), self.random.number())
    }

    fn user(&mut self) -> String {
        const NAMES: &[&str] = &["anna", "ben", "chen", "dora", "emre", "fatou", "goran", "hana"];
        format!("{}{:02}", self.random.pick(NAMES), self.random.below(50))
    }

    fn address(&mut self) -> String {
        const NETS: &[&str] = &["192.0.2", "198.51.100", "203.0.113"];
        format!("{}.{}", self.random.pick(NETS), 1 + self.random.below(250))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_source_has_its_share_and_every_record_is_json() {
        let mut generator = Mix::new(1);
        let mut counts = vec![0; SOURCES.len()];
        let mut line = String::new();
        for _ in 0..2_000 {
            line.clear();
            counts[generator.write(&mut line)] += 1;
            let parsed = simd_json::to_owned_value(&mut line.clone().into_bytes());
            assert!(parsed.is_ok(), "{line}");
        }
        for (count, share) in counts.iter().zip(SHARES) {
            assert!((share * 10..share * 30 + 20).contains(count), "{counts:?}");
        }
    }
}
