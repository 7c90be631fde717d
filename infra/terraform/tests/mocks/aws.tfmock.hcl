# What AWS would answer, where a random string would not be accepted as an ARN, and what other layers publish.

mock_resource "aws_iam_role" {
  override_during = plan
  defaults        = { arn = "arn:aws:iam::123456789012:role/mock" }
}

mock_resource "aws_iam_policy" {
  override_during = plan
  defaults        = { arn = "arn:aws:iam::123456789012:policy/mock" }
}

mock_resource "aws_iam_openid_connect_provider" {
  override_during = plan
  defaults        = { arn = "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com" }
}

mock_resource "aws_kms_key" {
  override_during = plan
  defaults = {
    arn    = "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-4000-8000-000000000000"
    key_id = "00000000-0000-4000-8000-000000000000"
  }
}

mock_resource "aws_cloudwatch_log_group" {
  override_during = plan
  defaults        = { arn = "arn:aws:logs:eu-central-1:123456789012:log-group:mock" }
}

mock_resource "aws_subnet" {
  override_during = plan
  defaults        = { id = "subnet-0123456789abcdef0" }
}

mock_resource "aws_vpc" {
  override_during = plan
  defaults        = { id = "vpc-0123456789abcdef0" }
}

mock_resource "aws_security_group" {
  override_during = plan
  defaults        = { id = "sg-0123456789abcdef0" }
}

mock_resource "aws_nat_gateway" {
  override_during = plan
  defaults        = { id = "nat-0123456789abcdef0" }
}

mock_resource "aws_internet_gateway" {
  override_during = plan
  defaults        = { id = "igw-0123456789abcdef0" }
}

mock_resource "aws_eks_cluster" {
  override_during = plan
  defaults = {
    arn        = "arn:aws:eks:eu-central-1:123456789012:cluster/birthday-mock"
    vpc_config = { cluster_security_group_id = "sg-0123456789abcdef2" }
    identity   = [{ oidc = [{ issuer = "https://oidc.eks.eu-central-1.amazonaws.com/id/0123" }] }]
  }
}

mock_resource "aws_launch_template" {
  override_during = plan
  defaults        = { id = "lt-0123456789abcdef0", latest_version = 1 }
}

mock_resource "aws_sqs_queue" {
  override_during = plan
  defaults = {
    arn = "arn:aws:sqs:eu-central-1:123456789012:mock"
    url = "https://sqs.eu-central-1.amazonaws.com/123456789012/mock"
  }
}

mock_data "aws_ec2_managed_prefix_list" {
  override_during = plan
  defaults        = { id = "pl-0123456789abcdef0" }
}

mock_resource "aws_db_instance" {
  override_during = plan
  defaults = {
    arn                = "arn:aws:rds:eu-central-1:123456789012:db:mock"
    address            = "mock.abc123.eu-central-1.rds.amazonaws.com"
    resource_id        = "db-ABCDEFGHIJKL"
    master_user_secret = [{ secret_arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:rds!db-0123" }]
  }
}

mock_resource "aws_rds_cluster" {
  override_during = plan
  defaults = {
    arn                 = "arn:aws:rds:eu-central-1:123456789012:cluster:mock"
    endpoint            = "mock.cluster-abc123.eu-central-1.rds.amazonaws.com"
    cluster_resource_id = "cluster-ABCDEFGHIJKL"
    master_user_secret  = [{ secret_arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:rds!cluster-0123" }]
  }
}

mock_resource "aws_dynamodb_table" {
  override_during = plan
  defaults        = { arn = "arn:aws:dynamodb:eu-central-1:123456789012:table/people" }
}

mock_resource "aws_backup_vault" {
  override_during = plan
  defaults        = { arn = "arn:aws:backup:eu-central-1:123456789012:backup-vault:mock" }
}

mock_resource "aws_backup_plan" {
  override_during = plan
  defaults        = { id = "00000000-0000-4000-8000-000000000002" }
}

mock_data "aws_lb" {
  override_during = plan
  defaults = {
    arn        = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/mock/0123456789abcdef"
    arn_suffix = "app/mock/0123456789abcdef"
    dns_name   = "internal-mock.eu-central-1.elb.amazonaws.com"
    internal   = true
  }
}

mock_resource "aws_route53_zone" {
  override_during = plan
  defaults = {
    arn     = "arn:aws:route53:::hostedzone/Z0123456789ABCDEFGHIJ"
    zone_id = "Z0123456789ABCDEFGHIJ"
  }
}

mock_resource "aws_route53_health_check" {
  override_during = plan
  defaults        = { id = "00000000-0000-4000-8000-000000000003" }
}

mock_resource "aws_acm_certificate" {
  override_during = plan
  defaults = {
    arn = "arn:aws:acm:us-east-1:123456789012:certificate/00000000-0000-4000-8000-000000000004"
    domain_validation_options = [
      { domain_name = "hello.example.com", resource_record_name = "_mock.hello.example.com", resource_record_type = "CNAME", resource_record_value = "_mock.acm-validations.aws" },
      { domain_name = "primary.hello.example.com", resource_record_name = "_mock.primary.hello.example.com", resource_record_type = "CNAME", resource_record_value = "_mock.acm-validations.aws" },
      { domain_name = "hello.staging.example.com", resource_record_name = "_mock.hello.staging.example.com", resource_record_type = "CNAME", resource_record_value = "_mock.acm-validations.aws" },
      { domain_name = "primary.hello.staging.example.com", resource_record_name = "_mock.primary.hello.staging.example.com", resource_record_type = "CNAME", resource_record_value = "_mock.acm-validations.aws" },
      { domain_name = "hello.dev.example.com", resource_record_name = "_mock.hello.dev.example.com", resource_record_type = "CNAME", resource_record_value = "_mock.acm-validations.aws" },
      { domain_name = "primary.hello.dev.example.com", resource_record_name = "_mock.primary.hello.dev.example.com", resource_record_type = "CNAME", resource_record_value = "_mock.acm-validations.aws" },
    ]
  }
}

mock_resource "aws_acm_certificate_validation" {
  override_during = plan
  defaults        = { id = "mock" }
}

mock_resource "aws_wafv2_web_acl" {
  override_during = plan
  defaults        = { arn = "arn:aws:wafv2:us-east-1:123456789012:global/webacl/mock/00000000-0000-4000-8000-000000000005" }
}

mock_resource "aws_cloudfront_vpc_origin" {
  override_during = plan
  defaults        = { id = "vo_0123456789abcdef" }
}

mock_resource "aws_cloudfront_distribution" {
  override_during = plan
  defaults = {
    arn            = "arn:aws:cloudfront::123456789012:distribution/E0123456789ABC"
    id             = "E0123456789ABC"
    domain_name    = "d0123456789abc.cloudfront.net"
    hosted_zone_id = "Z2FDTNDATAQYW2"
  }
}

mock_resource "aws_cloudwatch_log_delivery_destination" {
  override_during = plan
  defaults        = { arn = "arn:aws:logs:us-east-1:123456789012:delivery-destination:mock" }
}

mock_resource "aws_lambda_function" {
  override_during = plan
  defaults = {
    arn           = "arn:aws:lambda:eu-central-1:123456789012:function:mock"
    qualified_arn = "arn:aws:lambda:eu-central-1:123456789012:function:mock:1"
    version       = "1"
  }
}

mock_resource "aws_lambda_alias" {
  override_during = plan
  defaults = {
    arn        = "arn:aws:lambda:eu-central-1:123456789012:function:mock:live"
    invoke_arn = "arn:aws:apigateway:eu-central-1:lambda:path/2015-03-31/functions/arn:aws:lambda:eu-central-1:123456789012:function:mock:live/invocations"
  }
}

mock_resource "aws_apigatewayv2_api" {
  override_during = plan
  defaults        = { id = "a1b2c3d4e5" }
}

mock_resource "aws_sns_topic" {
  override_during = plan
  defaults        = { arn = "arn:aws:sns:eu-central-1:123456789012:mock" }
}

mock_resource "aws_prometheus_workspace" {
  override_during = plan
  defaults = {
    arn                 = "arn:aws:aps:eu-central-1:123456789012:workspace/ws-00000000-0000-4000-8000-000000000007"
    id                  = "ws-00000000-0000-4000-8000-000000000007"
    prometheus_endpoint = "https://aps-workspaces.eu-central-1.amazonaws.com/workspaces/ws-mock/"
  }
}

mock_resource "aws_organizations_organization" {
  override_during = plan
  defaults        = { roots = [{ id = "r-0123" }] }
}

mock_resource "aws_organizations_organizational_unit" {
  override_during = plan
  defaults        = { id = "ou-0123-01234567" }
}
