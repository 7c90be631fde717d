mock_provider "aws" {
  source = "../tests/mocks"
}

run "network" {
  command = plan

  # Nothing is public.
  assert {
    condition = alltrue([
      for subnet in concat(
        values(aws_subnet.public), values(aws_subnet.load_balancer), values(aws_subnet.private), values(aws_subnet.database)
      ) : !subnet.map_public_ip_on_launch
    ])
    error_message = "nothing gets a public address by itself"
  }
  assert {
    condition     = toset(keys(aws_route_table_association.public)) == toset(keys(aws_subnet.public)) && aws_route.internet.destination_cidr_block == "0.0.0.0/0"
    error_message = "only the public subnets have a route to the internet"
  }
  assert {
    condition     = alltrue([for route in aws_route.nat : route.gateway_id != aws_internet_gateway.this.id && try(startswith(route.nat_gateway_id, "nat-"), false)])
    error_message = "private subnets go out by NAT"
  }
  assert {
    condition     = !anytrue([for subnet in aws_subnet.public : contains(keys(subnet.tags), "kubernetes.io/role/elb")])
    error_message = "no controller finds a public subnet for a load balancer"
  }
  assert {
    condition     = alltrue([for subnet in aws_subnet.load_balancer : subnet.tags["kubernetes.io/role/internal-elb"] == "1"])
    error_message = "the load balancer is internal"
  }
  assert {
    condition = (
      aws_vpc_security_group_ingress_rule.endpoints.cidr_ipv4 == var.cidr
      && aws_vpc_security_group_ingress_rule.endpoints.from_port == 443
      && aws_vpc_security_group_ingress_rule.endpoints.to_port == 443
    )
    error_message = "endpoints answer the VPC, by HTTPS"
  }
  assert {
    condition     = aws_vpc_security_group_egress_rule.bastion.cidr_ipv4 == var.cidr
    error_message = "sessions stay in the VPC"
  }
  assert {
    condition     = alltrue([for instance in aws_instance.bastion : !instance.associate_public_ip_address])
    error_message = "the bastion has no public address"
  }
  assert {
    condition     = alltrue([for instance in aws_instance.bastion : instance.metadata_options[0].http_tokens == "required"])
    error_message = "IMDSv2 only"
  }

  # Everything is encrypted.
  assert {
    condition     = alltrue([for instance in aws_instance.bastion : instance.root_block_device[0].encrypted])
    error_message = "the disk is encrypted"
  }
  assert {
    condition     = aws_cloudwatch_log_group.flow.kms_key_id == module.logs_key.arn && module.logs_key.rotates
    error_message = "flow logs are encrypted by our key"
  }
  assert {
    condition = jsondecode(module.logs_key.policy).Statement[1].Condition == {
      ArnLike = {
        "kms:EncryptionContext:aws:logs:arn" = "arn:aws:logs:eu-central-1:${var.account_id}:log-group:/birthday/${var.environment}/network/*"
      }
    }
    error_message = "the key is for logs of the network"
  }

  # Zones.
  assert {
    condition     = var.environment != "prod" || length(aws_subnet.private) == 3
    error_message = "prod has three zones"
  }
  assert {
    condition     = var.environment != "prod" || length(aws_nat_gateway.this) == 3
    error_message = "in prod a zone's outage takes no other zone's way out"
  }
  assert {
    condition = alltrue([
      for tier in [aws_subnet.public, aws_subnet.load_balancer, aws_subnet.private, aws_subnet.database] :
      toset([for subnet in tier : subnet.availability_zone]) == toset(var.zones)
    ])
    error_message = "each tier is in each zone"
  }

  # Addresses.
  assert {
    condition = length(distinct(concat(
      values(local.public), values(local.load_balancer), values(local.private), values(local.database)
    ))) == 4 * length(var.zones)
    error_message = "no two subnets are the same"
  }
  assert {
    condition = alltrue(concat(
      [for cidr in values(local.public) : cidrsubnet("${split("/", cidr)[0]}/20", 0, 0) == local.entry_cidr],
      [for cidr in values(local.load_balancer) : cidrsubnet("${split("/", cidr)[0]}/22", 0, 0) == local.load_balancer_cidr],
      [for cidr in values(local.database) : cidrsubnet("${split("/", cidr)[0]}/20", 0, 0) == local.database_cidr],
    ))
    error_message = "the tiers are where the chart expects them"
  }
  assert {
    condition = var.environment != "prod" || [
      local.load_balancer_cidr, local.database_cidr
      ] == [
      yamldecode(file("../../../charts/hello-api/values.aws.yaml")).networkPolicy.from[0].ipBlock.cidr,
      yamldecode(file("../../../charts/hello-api/values.aws.yaml")).networkPolicy.databaseTo[0].ipBlock.cidr,
    ]
    error_message = "charts/hello-api/values.aws.yaml has prod's addresses"
  }

  # Endpoints.
  assert {
    condition     = aws_vpc_endpoint.dynamodb.vpc_endpoint_type == "Gateway" && aws_vpc_endpoint.s3.vpc_endpoint_type == "Gateway"
    error_message = "DynamoDB and S3 are reached by gateways"
  }
  assert {
    condition = jsondecode(aws_vpc_endpoint.dynamodb.policy).Statement[0].Condition == {
      StringEquals = { "aws:ResourceAccount" = var.account_id, "aws:PrincipalAccount" = var.account_id }
    }
    error_message = "nobody carries data to a table of another account"
  }
  assert {
    condition     = !var.bastion || length(setsubtract(["ssm", "ssmmessages", "ec2messages"], var.interface_endpoints)) == 0
    error_message = "Session Manager is reached without the internet"
  }
  assert {
    condition     = alltrue([for endpoint in aws_vpc_endpoint.interface : endpoint.private_dns_enabled])
    error_message = "endpoints have the names of their services"
  }

  # Roles.
  assert {
    condition = jsondecode(module.flow_logs_role.trust) == {
      Version = "2012-10-17"
      Statement = [{
        Effect    = "Allow"
        Principal = { Service = "vpc-flow-logs.amazonaws.com" }
        Action    = "sts:AssumeRole"
        Condition = {
          StringEquals = { "aws:SourceAccount" = var.account_id }
          ArnLike      = { "aws:SourceArn" = "arn:aws:ec2:eu-central-1:${var.account_id}:vpc-flow-log/*" }
        }
      }]
    }
    error_message = "only flow logs of this account write"
  }
  assert {
    condition = jsondecode(module.bastion_role.trust) == {
      Version = "2012-10-17"
      Statement = [{
        Effect    = "Allow"
        Principal = { Service = "ec2.amazonaws.com" }
        Action    = "sts:AssumeRole"
      }]
    }
    error_message = "only instances take the role of the bastion"
  }
  assert {
    condition     = module.bastion_role.managed_policy_arns == toset(["arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"]) && module.bastion_role.policy == null
    error_message = "the bastion can do nothing but hold sessions"
  }
  assert {
    condition = alltrue([
      for role in [module.flow_logs_role, module.bastion_role] :
      role.permissions_boundary == "arn:aws:iam::${var.account_id}:policy/birthday-${var.environment}-boundary"
    ])
    error_message = "each role is bounded"
  }
  assert {
    condition     = var.environment != "prod" || aws_cloudwatch_log_group.flow.retention_in_days >= 365
    error_message = "prod keeps flow logs for a year"
  }

  # Contract.
  assert {
    condition     = keys(local.published) == keys(jsondecode(regex("(?s)<<-JSON\n(.*?)\n *JSON", file("../tests/mocks/published.tfmock.hcl"))[0]).network)
    error_message = "what is published is what the tests of other layers have"
  }
}

run "prod_has_three_zones" {
  command = plan

  variables {
    environment = "prod"
    zones       = ["eu-central-1a", "eu-central-1b"]
  }

  expect_failures = [var.zones]
}

run "zones_are_of_the_region" {
  command = plan

  variables {
    zones = ["eu-west-1a", "eu-west-1b", "eu-west-1c"]
  }

  expect_failures = [var.zones]
}

run "a_single_nat_gateway" {
  command = plan

  variables {
    nat = "single"
  }

  assert {
    condition     = length(aws_nat_gateway.this) == 1 && length(aws_route.nat) == length(var.zones)
    error_message = "all zones share it"
  }
}

run "no_nat_gateway" {
  command = plan

  variables {
    nat = "none"
  }

  assert {
    condition     = length(aws_nat_gateway.this) == 0 && length(aws_route.nat) == 0 && length(aws_eip.nat) == 0
    error_message = "there is no way out"
  }
}

run "vpn" {
  command = plan

  variables {
    vpn = {
      cidr                   = "172.16.0.0/22"
      server_certificate_arn = "arn:aws:acm:eu-central-1:123456789012:certificate/00000000-0000-4000-8000-000000000000"
      saml_provider_arn      = "arn:aws:iam::123456789012:saml-provider/sso"
    }
  }

  assert {
    condition = (
      aws_ec2_client_vpn_endpoint.this[0].split_tunnel
      && one(aws_ec2_client_vpn_endpoint.this[0].authentication_options).type == "federated-authentication"
      && aws_ec2_client_vpn_endpoint.this[0].connection_log_options[0].enabled
      && aws_ec2_client_vpn_authorization_rule.this[0].target_network_cidr == var.cidr
    )
    error_message = "people sign in by single sign-on, are logged, and reach the VPC"
  }
}
