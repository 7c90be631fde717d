# What the layers publish: a layer that reads finds it here, and the layer that publishes has a test that it has these keys.

mock_data "aws_ssm_parameter" {
  override_during = plan
  defaults = {
    insecure_value = <<-JSON
    {
      "network": {
        "vpc_id": "vpc-0123456789abcdef0",
        "cidr": "10.0.0.0/16",
        "load_balancer_subnet_ids": ["subnet-00000000000000a01", "subnet-00000000000000a02", "subnet-00000000000000a03"],
        "private_subnet_ids": ["subnet-00000000000000b01", "subnet-00000000000000b02", "subnet-00000000000000b03"],
        "private_cidrs": ["10.0.16.0/20", "10.0.32.0/20", "10.0.48.0/20"],
        "database_subnet_ids": ["subnet-00000000000000c01", "subnet-00000000000000c02", "subnet-00000000000000c03"],
        "bastion_security_group_id": "sg-0123456789abcdef1"
      },
      "platform": {
        "cluster_name": "birthday-mock",
        "cluster_arn": "arn:aws:eks:eu-central-1:123456789012:cluster/birthday-mock",
        "cluster_security_group_id": "sg-0123456789abcdef2",
        "oidc_provider_arn": null,
        "load_balancer_security_group_id": "sg-0123456789abcdef3",
        "karpenter_node_role": "birthday-mock-karpenter-node",
        "karpenter_queue": "birthday-mock-karpenter",
        "repositories": { "birthday-host": "123456789012.dkr.ecr.eu-central-1.amazonaws.com/birthday-host" }
      },
      "data": {
        "postgres": "instance",
        "postgres_host": "birthday-mock.abc123.eu-central-1.rds.amazonaws.com",
        "postgres_identifier": "birthday-mock",
        "master_secret_arn": "arn:aws:secretsmanager:eu-central-1:123456789012:secret:rds!db-0123",
        "table": "people",
        "key_arn": "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-4000-8000-000000000001"
      },
      "edge": {
        "zone_id": "Z0123456789ABCDEFGHIJ",
        "hostname": "hello.example.com",
        "load_balancer_certificate_arn": "arn:aws:acm:eu-central-1:123456789012:certificate/00000000-0000-4000-8000-000000000004",
        "load_balancer_suffix": "app/mock/0123456789abcdef",
        "distribution_id": "E0123456789ABC",
        "health_check_id": "00000000-0000-4000-8000-000000000003",
        "web_acl_name": "birthday-mock"
      }
    }
    JSON
  }
}
