//! CloudTrail records in the proportions of real trails: about five reads to one change, some failures, few logins.
//!
//! Enters: a seed. Leaves: records of 0.8–2 KB in CloudTrail's own shape and member order, in time order.

use std::fmt::Write as _;

use crate::random::Random;

/// Makes one record after another.
#[derive(Debug, Clone)]
pub struct CloudTrail {
    random: Random,
    count: u64,
}

struct Call {
    service: &'static str,
    name: &'static str,
    read: bool,
    parameters: &'static str,
    response: &'static str,
    weight: u64,
}

macro_rules! call {
    ($weight:literal $service:literal $name:literal $read:literal $parameters:literal $response:literal) => {
        Call {
            service: $service,
            name: $name,
            read: $read,
            parameters: $parameters,
            response: $response,
            weight: $weight,
        }
    };
}

/// `%r` stands for a resource name, `%a` for the account.
const CALLS: &[Call] = &[
    call!(70 "kms" "Decrypt" true r#"{"encryptionContext":{"aws:s3:arn":"arn:aws:s3:::%r"},"encryptionAlgorithm":"SYMMETRIC_DEFAULT"}"# "null"),
    call!(90 "ec2" "DescribeInstances" true r#"{"instancesSet":{},"filterSet":{"items":[{"name":"tag:app","valueSet":{"items":[{"value":"%r"}]}},{"name":"instance-state-name","valueSet":{"items":[{"value":"running"}]}}]}}"# "null"),
    call!(60 "ec2" "DescribeRouteTables" true r#"{"routeTableIdSet":{"items":[{"routeTableId":"rtb-%r"}]},"filterSet":{}}"# "null"),
    call!(60 "sts" "AssumeRole" true r#"{"roleArn":"arn:aws:iam::%a:role/%r","roleSessionName":"session-%r","durationSeconds":3600}"# r#"{"credentials":{"accessKeyId":"ASIAEXAMPLE%r","expiration":"Nov 20, 2026, 11:00:00 AM","sessionToken":"FwoGZXIvYXdzEXAMPLE//////////wEaDExample%r%r%r"},"assumedRoleUser":{"assumedRoleId":"AROAEXAMPLE:session","arn":"arn:aws:sts::%a:assumed-role/%r/session"}}"#),
    call!(80 "s3" "GetBucketAcl" true r#"{"bucketName":"%r","Host":"%r.s3.us-east-1.amazonaws.com","acl":""}"# "null"),
    call!(60 "s3" "ListObjects" true r#"{"list-type":"2","bucketName":"%r","prefix":"logs/2026/11/20/","max-keys":"1000","Host":"%r.s3.us-east-1.amazonaws.com"}"# "null"),
    call!(50 "iam" "GetUser" true r#"{"userName":"%r"}"# "null"),
    call!(50 "ssm" "DescribeParameters" true r#"{"maxResults":50,"parameterFilters":[{"key":"Name","option":"BeginsWith","values":["/app/%r"]}]}"# "null"),
    call!(40 "cloudwatch" "GetMetricData" true "null" "null"),
    call!(40 "logs" "DescribeLogGroups" true r#"{"limit":50,"logGroupNamePrefix":"/aws/lambda/%r"}"# "null"),
    call!(30 "secretsmanager" "GetSecretValue" true r#"{"secretId":"arn:aws:secretsmanager:us-east-1:%a:secret:%r"}"# "null"),
    call!(30 "lambda" "ListFunctions20150331" true r#"{"functionVersion":"ALL","maxItems":50}"# "null"),
    call!(20 "ssm" "PutParameter" false r#"{"name":"/app/%r","type":"SecureString","value":"HIDDEN_DUE_TO_SECURITY_REASONS","overwrite":true}"# r#"{"tier":"Standard","version":3}"#),
    call!(20 "logs" "CreateLogStream" false r#"{"logGroupName":"/aws/lambda/%r","logStreamName":"2026/11/20/[$LATEST]%r"}"# "null"),
    call!(16 "ec2" "CreateTags" false r#"{"resourcesSet":{"items":[{"resourceId":"i-%r"}]},"tagSet":{"items":[{"key":"owner","value":"%r"}]}}"# r#"{"requestId":"%r","_return":true}"#),
    call!(12 "ec2" "RunInstances" false r#"{"instancesSet":{"items":[{"imageId":"ami-%r","minCount":1,"maxCount":1}]},"instanceType":"m6i.large","blockDeviceMapping":{},"monitoring":{"enabled":false},"disableApiTermination":false}"# r#"{"requestId":"%r","reservationId":"r-%r","ownerId":"%a","groupSet":{},"instancesSet":{"items":[{"instanceId":"i-%r","imageId":"ami-%r","currentState":{"code":0,"name":"pending"}}]}}"#),
    call!(10 "ec2" "AuthorizeSecurityGroupIngress" false r#"{"groupId":"sg-%r","ipPermissions":{"items":[{"ipProtocol":"tcp","fromPort":443,"toPort":443,"groups":{},"ipRanges":{"items":[{"cidrIp":"10.0.0.0/16"}]},"ipv6Ranges":{},"prefixListIds":{}}]}}"# r#"{"requestId":"%r","_return":true}"#),
    call!(8 "s3" "PutBucketPolicy" false r#"{"bucketPolicy":{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::%a:root"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::%r/*"}]},"bucketName":"%r","Host":"s3.amazonaws.com","policy":""}"# "null"),
    call!(6 "iam" "CreateAccessKey" false r#"{"userName":"%r"}"# r#"{"accessKey":{"userName":"%r","accessKeyId":"AKIAEXAMPLE%r","status":"Active","createDate":"Nov 20, 2026, 10:00:00 AM"}}"#),
    call!(4 "signin" "ConsoleLogin" false "null" r#"{"ConsoleLogin":"Success"}"#),
    call!(2 "cloudtrail" "StopLogging" false r#"{"name":"arn:aws:cloudtrail:us-east-1:%a:trail/%r"}"# "null"),
];

const AGENTS: &[&str] = &[
    "aws-sdk-go-v2/1.30.3 os/linux lang/go#1.22.5 md/GOOS#linux md/GOARCH#amd64 api/ec2#1.173.0",
    "Boto3/1.34.144 md/Botocore#1.34.144 ua/2.0 os/linux#5.10.220-209.869.amzn2.x86_64 md/arch#x86_64 lang/python#3.11.9 md/pyimpl#CPython cfg/retry-mode#legacy Botocore/1.34.144",
    "aws-cli/2.17.13 md/awscrt#0.20.11 ua/2.0 os/macos#23.5.0 md/arch#arm64 lang/python#3.11.9 md/prompt#off md/command#ec2.describe-instances",
    "AWS Internal",
    "APN/1.0 HashiCorp/1.0 Terraform/1.9.2 (+https://www.terraform.io) terraform-provider-aws/5.58.0",
];
const REGIONS: &[&str] = &["us-east-1", "us-east-1", "us-east-1", "eu-west-1", "us-west-2"];
const ERRORS: &[(&str, &str)] = &[
    (
        "AccessDenied",
        "User is not authorized to perform this operation because no identity-based policy allows it",
    ),
    ("ThrottlingException", "Rate exceeded"),
    ("ResourceNotFoundException", "The resource that you asked for does not exist"),
];

impl CloudTrail {
    /// Starts at `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { random: Random::new(seed), count: 0 }
    }

    /// Appends the next record, without a line end.
    pub fn write(&mut self, out: &mut String) {
        let call = self.call();
        let account = 111_122_220_000 + self.random.below(4);
        let second = self.count / 40;
        let time =
            format!("2026-11-20T{:02}:{:02}:{:02}Z", (second / 3600) % 24, (second / 60) % 60, second % 60);
        self.count += 1;
        out.push_str("{\"eventVersion\":\"1.09\",\"userIdentity\":");
        self.identity(account, out);
        let region = *self.random.pick(REGIONS);
        let agent = *self.random.pick(AGENTS);
        let address = self.random.below(250);
        let _ = write!(
            out,
            r#","eventTime":"{time}","eventSource":"{}.amazonaws.com","eventName":"{}","awsRegion":"{region}","sourceIPAddress":"203.0.113.{address}","userAgent":"{agent}","#,
            call.service, call.name
        );
        let failed = self.random.below(20) == 0;
        if failed {
            let (code, message) = self.random.pick(ERRORS);
            let _ = write!(out, r#""errorCode":"{code}","errorMessage":"{message}","#);
        }
        out.push_str("\"requestParameters\":");
        self.fill(call.parameters, account, out);
        out.push_str(",\"responseElements\":");
        self.fill(if failed { "null" } else { call.response }, account, out);
        if call.name == "ConsoleLogin" {
            out.push_str(r#","additionalEventData":{"LoginTo":"https://console.aws.amazon.com/console/home","MobileVersion":"No","MFAUsed":"Yes"}"#);
        } else if call.service == "s3" {
            out.push_str(r#","additionalEventData":{"SignatureVersion":"SigV4","CipherSuite":"TLS_AES_128_GCM_SHA256","bytesTransferredIn":0,"AuthenticationMethod":"AuthHeader","bytesTransferredOut":542}"#);
        }
        let _ = write!(
            out,
            r#","requestID":"{}","eventID":"{}","readOnly":{},"#,
            self.uuid(),
            self.uuid(),
            call.read
        );
        if matches!(call.service, "s3" | "kms" | "sts") {
            out.push_str(r#""resources":[{"accountId":""#);
            let _ = write!(
                out,
                r#"{account}","type":"AWS::S3::Bucket","ARN":"arn:aws:s3:::{}"}}],"#,
                self.name()
            );
        }
        let _ = write!(
            out,
            r#""eventType":"{}","managementEvent":true,"recipientAccountId":"{account}","eventCategory":"Management","tlsDetails":{{"tlsVersion":"TLSv1.3","cipherSuite":"TLS_AES_128_GCM_SHA256","clientProvidedHostHeader":"{}.{region}.amazonaws.com"}}}}"#,
            if call.service == "signin" { "AwsConsoleSignIn" } else { "AwsApiCall" },
            call.service
        );
    }

    fn call(&mut self) -> &'static Call {
        let total: u64 = CALLS.iter().map(|call| call.weight).sum();
        let mut at = self.random.below(total);
        for call in CALLS {
            if at < call.weight {
                return call;
            }
            at -= call.weight;
        }
        &CALLS[0]
    }

    fn identity(&mut self, account: u64, out: &mut String) {
        let name = self.name();
        let key = self.random.below(0xffff_ffff);
        let _ = match self.random.below(10) {
            0 => write!(out, r#"{{"type":"AWSService","invokedBy":"autoscaling.amazonaws.com"}}"#),
            1..=3 => write!(
                out,
                r#"{{"type":"IAMUser","principalId":"AIDAEXAMPLE{key:08X}","arn":"arn:aws:iam::{account}:user/{name}","accountId":"{account}","accessKeyId":"AKIAEXAMPLE{key:08X}","userName":"{name}"}}"#
            ),
            _ => write!(
                out,
                r#"{{"type":"AssumedRole","principalId":"AROAEXAMPLE{key:08X}:i-0{key:08x}","arn":"arn:aws:sts::{account}:assumed-role/{name}/i-0{key:08x}","accountId":"{account}","accessKeyId":"ASIAEXAMPLE{key:08X}","sessionContext":{{"sessionIssuer":{{"type":"Role","principalId":"AROAEXAMPLE{key:08X}","arn":"arn:aws:iam::{account}:role/{name}","accountId":"{account}","userName":"{name}"}},"attributes":{{"creationDate":"2026-11-20T08:00:00Z","mfaAuthenticated":"false"}},"ec2RoleDelivery":"2.0"}}}}"#
            ),
        };
    }

    fn fill(&mut self, template: &str, account: u64, out: &mut String) {
        let mut rest = template;
        while let Some(at) = rest.find('%') {
            out.push_str(&rest[..at]);
            match rest.as_bytes().get(at + 1) {
                Some(b'r') => out.push_str(&self.name()),
                Some(b'a') => drop(write!(out, "{account}")),
                _ => out.push('%'),
            }
            rest = rest.get(at + 2..).unwrap_or_default();
        }
        out.push_str(rest);
    }

    fn name(&mut self) -> String {
        const WORDS: &[&str] =
            &["billing", "checkout", "data-lake", "edge", "frontend", "identity", "ledger", "search"];
        format!("{}-{:05x}", self.random.pick(WORDS), self.random.below(0xf_ffff))
    }

    fn uuid(&mut self) -> String {
        let (high, low) = (self.random.number(), self.random.number());
        format!(
            "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0xfff,
            low >> 52,
            low & 0xffff_ffff_ffff
        )
    }
}

/// `count` records, one a line.
#[must_use]
pub fn lines(seed: u64, count: usize) -> String {
    let mut generator = CloudTrail::new(seed);
    let mut out = String::with_capacity(count * 1_300);
    for _ in 0..count {
        generator.write(&mut out);
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_bytes() {
        assert_eq!(lines(7, 50), lines(7, 50));
        assert_ne!(lines(7, 50), lines(8, 50));
    }

    #[test]
    fn a_record_has_the_size_of_a_real_one() {
        let average = lines(1, 1000).len() / 1000;
        assert!((800..1600).contains(&average), "{average}");
    }
}
