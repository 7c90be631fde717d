mock_provider "aws" {
  source = "../tests/mocks"
}

run "platform" {
  command = plan

  # Nothing is public.
  assert {
    condition     = !aws_eks_cluster.this.vpc_config[0].endpoint_public_access && aws_eks_cluster.this.vpc_config[0].endpoint_private_access
    error_message = "the control plane is reached within the VPC only"
  }
  assert {
    condition = (
      aws_vpc_security_group_ingress_rule.cloudfront.prefix_list_id == "pl-0123456789abcdef0"
      && aws_vpc_security_group_ingress_rule.cloudfront.cidr_ipv4 == null
      && aws_vpc_security_group_ingress_rule.cloudfront.from_port == 443
      && aws_vpc_security_group_ingress_rule.cloudfront.to_port == 443
    )
    error_message = "the load balancer answers CloudFront only, by HTTPS"
  }
  assert {
    condition = (
      aws_vpc_security_group_ingress_rule.people.referenced_security_group_id == local.network.bastion_security_group_id
      && aws_vpc_security_group_ingress_rule.people.cidr_ipv4 == null
    )
    error_message = "people reach the control plane through the bastion or the VPN"
  }
  assert {
    condition = (
      aws_vpc_security_group_ingress_rule.pods.referenced_security_group_id == aws_security_group.load_balancer.id
      && aws_vpc_security_group_ingress_rule.pods.from_port == 8080
    )
    error_message = "pods answer the load balancer"
  }
  assert {
    condition     = toset([for rule in aws_vpc_security_group_egress_rule.pods : rule.cidr_ipv4]) == toset(local.network.private_cidrs)
    error_message = "the load balancer calls pods only"
  }

  # The Ingress of the chart.
  assert {
    condition = {
      for name, value in yamldecode(file("../../../charts/hello-api/values.aws.yaml")).ingress.annotations : name => value
      if contains(["scheme", "security-groups", "manage-backend-security-group-rules"], trimprefix(name, "alb.ingress.kubernetes.io/"))
      } == {
      "alb.ingress.kubernetes.io/scheme"                              = "internal"
      "alb.ingress.kubernetes.io/security-groups"                     = local.published.load_balancer_security_group_id
      "alb.ingress.kubernetes.io/manage-backend-security-group-rules" = "false"
    }
    error_message = "charts/hello-api/values.aws.yaml has this load balancer"
  }

  # Everything is encrypted.
  assert {
    condition = (
      aws_eks_cluster.this.encryption_config[0].provider[0].key_arn == module.key.arn
      && aws_eks_cluster.this.encryption_config[0].resources == toset(["secrets"])
    )
    error_message = "secrets of the cluster are encrypted by our key"
  }
  assert {
    condition     = tobool(aws_launch_template.system.block_device_mappings[0].ebs[0].encrypted)
    error_message = "disks of nodes are encrypted"
  }
  assert {
    condition     = aws_cloudwatch_log_group.cluster.kms_key_id == module.key.arn && module.key.rotates && module.images_key.rotates
    error_message = "logs are encrypted by our key"
  }
  assert {
    condition = alltrue([
      for repository in aws_ecr_repository.this :
      repository.encryption_configuration[0].encryption_type == "KMS" && repository.encryption_configuration[0].kms_key == module.images_key.arn
    ])
    error_message = "images are encrypted by our key"
  }
  assert {
    condition     = aws_sqs_queue.interruptions.sqs_managed_sse_enabled
    error_message = "the queue is encrypted"
  }

  # The cluster.
  assert {
    condition     = aws_eks_cluster.this.enabled_cluster_log_types == toset(["api", "audit", "authenticator", "controllerManager", "scheduler"])
    error_message = "all of the control plane is logged"
  }
  assert {
    condition = (
      aws_eks_cluster.this.access_config[0].authentication_mode == "API"
      && !aws_eks_cluster.this.access_config[0].bootstrap_cluster_creator_admin_permissions
    )
    error_message = "who made the cluster is not its administrator"
  }
  assert {
    condition     = toset([for entry in aws_eks_access_policy_association.administrators : entry.principal_arn]) == var.administrators
    error_message = "the administrators are those that were named"
  }
  assert {
    condition = (
      aws_launch_template.system.metadata_options[0].http_tokens == "required"
      && aws_launch_template.system.metadata_options[0].http_put_response_hop_limit == 1
    )
    error_message = "a pod gets no credentials of its node"
  }
  assert {
    condition     = aws_eks_node_group.system.capacity_type == "ON_DEMAND" && one(aws_eks_node_group.system.taint).key == "CriticalAddonsOnly"
    error_message = "the system's nodes are not taken back, and are for the system"
  }
  assert {
    condition     = toset(aws_eks_node_group.system.subnet_ids) == toset(local.network.private_subnet_ids)
    error_message = "nodes are in all private subnets"
  }
  assert {
    condition     = var.environment != "prod" || aws_eks_node_group.system.scaling_config[0].min_size >= 3
    error_message = "prod has a node in each of three zones"
  }
  assert {
    condition     = jsondecode(aws_eks_addon.before_nodes["vpc-cni"].configuration_values).enableNetworkPolicy == "true"
    error_message = "network policies are enforced"
  }
  assert {
    condition = setunion(keys(aws_eks_addon.before_nodes), keys(aws_eks_addon.after_nodes)) == toset([
      "aws-ebs-csi-driver", "coredns", "eks-pod-identity-agent", "kube-proxy", "vpc-cni",
    ])
    error_message = "the cluster has these add-ons"
  }

  # Images.
  assert {
    condition = alltrue([
      for repository in aws_ecr_repository.this :
      repository.image_tag_mutability == "IMMUTABLE" && repository.image_scanning_configuration[0].scan_on_push
    ])
    error_message = "a tag never changes, and what is pushed is scanned"
  }
  assert {
    condition = alltrue([
      for policy in aws_ecr_lifecycle_policy.this : [for rule in jsondecode(policy.policy).rules : rule.selection.countNumber] == [7, var.kept_images]
    ])
    error_message = "old images go"
  }
  assert {
    condition = var.environment != "prod" || [
      for configuration in aws_ecr_replication_configuration.this :
      configuration.replication_configuration[0].rule[0].destination[0].region
    ] == [var.second_region]
    error_message = "prod's images are in a second region, too"
  }

  # Trust.
  assert {
    condition = jsondecode(module.cluster_role.trust) == {
      Version = "2012-10-17"
      Statement = [{
        Effect    = "Allow"
        Principal = { Service = "eks.amazonaws.com" }
        Action    = ["sts:AssumeRole", "sts:TagSession"]
        Condition = {
          StringEquals = { "aws:SourceAccount" = var.account_id }
          ArnEquals    = { "aws:SourceArn" = "arn:aws:eks:eu-central-1:${var.account_id}:cluster/birthday-${var.environment}" }
        }
      }]
    }
    error_message = "only this cluster's control plane takes its role"
  }
  assert {
    condition = alltrue([
      for role in [module.node_role, module.karpenter_node_role] : jsondecode(role.trust) == {
        Version   = "2012-10-17"
        Statement = [{ Effect = "Allow", Principal = { Service = "ec2.amazonaws.com" }, Action = "sts:AssumeRole" }]
      }
    ])
    error_message = "only instances take the roles of nodes"
  }
  assert {
    condition = alltrue([
      for controller, account in {
        load-balancer-controller = ["kube-system", "aws-load-balancer-controller"]
        karpenter                = ["kube-system", "karpenter"]
        external-secrets         = ["external-secrets", "external-secrets"]
      } :
      jsondecode(module.controller[controller].trust) == {
        Version = "2012-10-17"
        Statement = [{
          Effect    = "Allow"
          Principal = { Service = "pods.eks.amazonaws.com" }
          Action    = ["sts:AssumeRole", "sts:TagSession"]
          Condition = {
            StringEquals = {
              "aws:SourceAccount"                         = var.account_id
              "aws:RequestTag/kubernetes-namespace"       = account[0]
              "aws:RequestTag/kubernetes-service-account" = account[1]
            }
            ArnEquals = { "aws:SourceArn" = "arn:aws:eks:eu-central-1:${var.account_id}:cluster/birthday-${var.environment}" }
          }
        }]
      }
    ])
    error_message = "a controller's role is for its service account in this cluster"
  }
  assert {
    condition = alltrue([
      for addon, account in { "vpc-cni" = "aws-node", "aws-ebs-csi-driver" = "ebs-csi-controller-sa" } :
      jsondecode(module.addon_role[addon].trust) == {
        Version = "2012-10-17"
        Statement = [{
          Effect    = "Allow"
          Principal = { Service = "pods.eks.amazonaws.com" }
          Action    = ["sts:AssumeRole", "sts:TagSession"]
          Condition = {
            StringEquals = {
              "aws:SourceAccount"                         = var.account_id
              "aws:RequestTag/kubernetes-namespace"       = "kube-system"
              "aws:RequestTag/kubernetes-service-account" = account
            }
            ArnEquals = { "aws:SourceArn" = "arn:aws:eks:eu-central-1:${var.account_id}:cluster/birthday-${var.environment}" }
          }
        }]
      }
    ])
    error_message = "an add-on's role is for its service account in this cluster"
  }
  assert {
    condition     = length(aws_iam_openid_connect_provider.cluster) == (var.irsa ? 1 : 0)
    error_message = "IRSA is off unless it is asked for"
  }

  # Permissions.
  assert {
    condition = alltrue(flatten([
      for controller in module.controller : [
        for statement in jsondecode(controller.policy).Statement : [
          for action in statement.Action : !strcontains(action, "*")
        ]
      ]
    ]))
    error_message = "no controller has a wildcard among its actions"
  }
  assert {
    condition = alltrue([
      for role in concat(values(module.controller), values(module.addon_role), [module.cluster_role, module.node_role, module.karpenter_node_role]) :
      role.permissions_boundary == "arn:aws:iam::${var.account_id}:policy/birthday-${var.environment}-boundary"
    ])
    error_message = "each role is bounded"
  }
  assert {
    condition = [
      for statement in jsondecode(module.controller["karpenter"].policy).Statement : [statement.Resource, statement.Condition]
      if contains(statement.Action, "iam:PassRole")
      ] == [[
        "arn:aws:iam::${var.account_id}:role/birthday-${var.environment}-karpenter-node",
        { StringEquals = { "iam:PassedToService" = "ec2.amazonaws.com" } },
    ]]
    error_message = "Karpenter gives its nodes their role, and no other"
  }
  assert {
    condition = alltrue([
      for statement in jsondecode(module.controller["karpenter"].policy).Statement :
      can(statement.Condition.StringEquals["aws:ResourceTag/kubernetes.io/cluster/birthday-${var.environment}"])
      if contains(statement.Action, "ec2:TerminateInstances")
    ])
    error_message = "Karpenter ends the cluster's instances, and no others"
  }
  assert {
    condition = alltrue(flatten([
      for statement in jsondecode(module.controller["load-balancer-controller"].policy).Statement : [
        for action in statement.Action : !strcontains(action, "SecurityGroup") || can(regex(":(Describe|Get|SetSecurityGroups)", action))
      ]
    ]))
    error_message = "the controller of load balancers opens no security group"
  }
  assert {
    condition = toset(flatten([
      for statement in jsondecode(module.controller["external-secrets"].policy).Statement : statement.Resource
      if contains(statement.Action, "secretsmanager:GetSecretValue")
      ])) == toset([
      "arn:aws:secretsmanager:eu-central-1:${var.account_id}:secret:birthday/*",
      "arn:aws:secretsmanager:eu-central-1:${var.account_id}:secret:rds!*",
    ])
    error_message = "External Secrets reads the service's secrets, and no others"
  }
  assert {
    condition     = alltrue([for statement in jsondecode(aws_sqs_queue_policy.interruptions.policy).Statement : statement.Principal == { Service = "events.amazonaws.com" } || statement.Effect == "Deny"])
    error_message = "only events of AWS come into the queue"
  }
  assert {
    condition     = var.environment != "prod" || aws_cloudwatch_log_group.cluster.retention_in_days >= 365
    error_message = "prod keeps the control plane's logs for a year"
  }

  # Contract.
  assert {
    condition     = keys(local.published) == keys(jsondecode(regex("(?s)<<-JSON\n(.*?)\n *JSON", file("../tests/mocks/published.tfmock.hcl"))[0]).platform)
    error_message = "what is published is what the tests of other layers have"
  }
}

run "irsa" {
  command = plan

  variables {
    irsa = true
  }

  assert {
    condition     = length(jsondecode(module.controller["karpenter"].trust).Statement) == 2
    error_message = "IRSA is there beside Pod Identity"
  }
}

run "external_dns_changes_one_zone" {
  command = plan

  variables {
    hosted_zone_id = "Z0123456789ABCDEFGHIJ"
  }

  assert {
    condition = [
      for statement in jsondecode(module.controller["external-dns"].policy).Statement : statement.Resource
      if contains(statement.Action, "route53:ChangeResourceRecordSets")
    ] == ["arn:aws:route53:::hostedzone/Z0123456789ABCDEFGHIJ"]
    error_message = "ExternalDNS changes its zone, and no other"
  }
}

run "prod_has_three_system_nodes" {
  command = plan

  variables {
    environment  = "prod"
    system_nodes = { instance_types = ["t4g.medium"], min = 2, max = 4, disk_gib = 30 }
  }

  expect_failures = [var.system_nodes]
}

run "no_wildcard_among_administrators" {
  command = plan

  variables {
    administrators = ["arn:aws:iam::123456789012:role/*"]
  }

  expect_failures = [var.administrators]
}
