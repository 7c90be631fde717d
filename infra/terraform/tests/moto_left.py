"""What is in moto: asked by its own interfaces of AWS, so that `scripts/infra-moto` sees what `terraform destroy` left.

moto_left.py ADDRESS            prints what there is, one thing a line
moto_left.py ADDRESS states     prints the states in the bucket
moto_left.py ADDRESS publish    writes what the layer platform would publish; unpublish removes it
"""

import json
import sys

import boto3
from botocore.config import Config

PLATFORM = {
    "platform": {
        "cluster_name": "birthday-dev",
        "cluster_arn": "arn:aws:eks:eu-central-1:123456789012:cluster/birthday-dev",
        "oidc_provider_arn": None,
    }
}
NAME = "/birthday/dev/platform"


def clients(address, region):
    """A function that makes a client of a service in a region."""
    patient = Config(read_timeout=600)
    return lambda service: boto3.client(service, region_name=region, endpoint_url=address, config=patient)


def things(client):
    """What is there, as names. AWS has default VPCs, aliases of its own keys and service roles from the beginning."""
    ec2 = client("ec2")
    yield from (f"vpc {vpc['VpcId']}" for vpc in ec2.describe_vpcs()["Vpcs"])
    yield from (f"subnet {subnet['SubnetId']}" for subnet in ec2.describe_subnets()["Subnets"])
    yield from (f"group {group['GroupId']}" for group in ec2.describe_security_groups()["SecurityGroups"])
    yield from (f"address {address['AllocationId']}" for address in ec2.describe_addresses()["Addresses"])
    yield from (f"endpoint {endpoint['VpcEndpointId']}" for endpoint in ec2.describe_vpc_endpoints()["VpcEndpoints"])
    yield from (f"table {table['RouteTableId']}" for table in ec2.describe_route_tables()["RouteTables"])
    for reservation in ec2.describe_instances()["Reservations"]:
        for instance in reservation["Instances"]:
            if instance["State"]["Name"] != "terminated":
                yield f"instance {instance['InstanceId']}"
    for gateway in ec2.describe_nat_gateways()["NatGateways"]:
        if gateway["State"] != "deleted":
            yield f"nat {gateway['NatGatewayId']}"
    yield from (f"bucket {bucket['Name']}" for bucket in client("s3").list_buckets()["Buckets"])
    yield from (f"role {role['RoleName']}" for role in client("iam").list_roles()["Roles"])
    yield from (f"policy {policy['Arn']}" for policy in client("iam").list_policies(Scope="Local")["Policies"])
    yield from (f"issuer {issuer['Arn']}" for issuer in client("iam").list_open_id_connect_providers()["OpenIDConnectProviderList"])
    kms = client("kms")
    for key in kms.list_keys()["Keys"]:
        # A key is deleted after 30 days.
        if kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"]["KeyState"] != "PendingDeletion":
            yield f"key {key['KeyId']}"
    yield from (f"log {group['logGroupName']}" for group in client("logs").describe_log_groups()["logGroups"])
    yield from (f"parameter {item['Name']}" for item in client("ssm").describe_parameters()["Parameters"])
    yield from (f"repository {item['repositoryName']}" for item in client("ecr").describe_repositories()["repositories"])
    yield from (f"queue {url}" for url in client("sqs").list_queues().get("QueueUrls", []))
    yield from (f"rule {rule['Name']}" for rule in client("events").list_rules()["Rules"])
    yield from (f"table {name}" for name in client("dynamodb").list_tables()["TableNames"])
    yield from (f"database {item['DBInstanceIdentifier']}" for item in client("rds").describe_db_instances()["DBInstances"])
    yield from (f"secret {item['Name']}" for item in client("secretsmanager").list_secrets()["SecretList"])
    yield from (f"zone {zone['Name']}" for zone in client("route53").list_hosted_zones()["HostedZones"])
    yield from (f"certificate {item['DomainName']}" for item in client("acm").list_certificates()["CertificateSummaryList"])


def main(address, command="left"):
    client = clients(address, "eu-central-1")
    if command == "states":
        objects = client("s3").list_objects_v2(Bucket="birthday-dev-terraform-states-123456789012").get("Contents", [])
        print(", ".join(item["Key"] for item in objects))
    elif command == "publish":
        group = client("ec2").describe_security_groups(Filters=[{"Name": "group-name", "Values": ["birthday-dev-load-balancer"]}])
        PLATFORM["platform"]["cluster_security_group_id"] = group["SecurityGroups"][0]["GroupId"]
        client("ssm").put_parameter(Name=NAME, Value=json.dumps(PLATFORM), Type="String")
    elif command == "unpublish":
        client("ssm").delete_parameter(Name=NAME)
    else:
        for region in ["eu-central-1", "eu-west-1"]:
            for thing in sorted(things(clients(address, region))):
                print(region, thing)


main(*sys.argv[1:])
