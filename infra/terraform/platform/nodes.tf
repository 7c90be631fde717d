# Nodes: a small group for the system, and what Karpenter needs to make the others.

module "node_role" {
  source = "../modules/role"

  name                 = "${local.name}-node"
  description          = "Nodes, also Karpenter's"
  permissions_boundary = local.boundary
  # The CNI has its own role. SSM instead of SSH.
  managed_policy_arns = [
    "arn:aws:iam::aws:policy/AmazonEKSWorkerNodeMinimalPolicy",
    "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryPullOnly",
    "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore",
  ]
  trust = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "ec2.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })
}

resource "aws_launch_template" "system" {
  name                   = "${local.name}-system"
  update_default_version = true

  # Pods get no credentials of the node.
  metadata_options {
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  monitoring {
    enabled = true
  }

  # Bottlerocket's disk of data; that of the system is read-only, and encrypted by the account's default.
  block_device_mappings {
    device_name = "/dev/xvdb"

    ebs {
      encrypted             = true
      volume_type           = "gp3"
      volume_size           = var.system_nodes.disk_gib
      delete_on_termination = true
    }
  }

  tag_specifications {
    resource_type = "instance"
    tags          = merge(local.tags, { Name = "${local.name}-system" })
  }

  tag_specifications {
    resource_type = "volume"
    tags          = local.tags
  }
}

resource "aws_eks_node_group" "system" {
  cluster_name    = aws_eks_cluster.this.name
  node_group_name = "system"
  node_role_arn   = module.node_role.arn
  subnet_ids      = local.network.private_subnet_ids
  ami_type        = "BOTTLEROCKET_ARM_64"
  capacity_type   = "ON_DEMAND"
  instance_types  = var.system_nodes.instance_types

  scaling_config {
    min_size     = var.system_nodes.min
    max_size     = var.system_nodes.max
    desired_size = var.system_nodes.min
  }

  update_config {
    max_unavailable = 1
  }

  node_repair_config {
    enabled = true
  }

  launch_template {
    id      = aws_launch_template.system.id
    version = aws_launch_template.system.latest_version
  }

  labels = { "birthday/nodes" = "system" }

  taint {
    key    = "CriticalAddonsOnly"
    value  = "true"
    effect = "NO_SCHEDULE"
  }

  # Without the CNI nodes do not become ready.
  depends_on = [aws_eks_addon.before_nodes]

  lifecycle {
    ignore_changes = [scaling_config[0].desired_size]
  }
}

resource "aws_eks_access_entry" "karpenter_nodes" {
  cluster_name  = aws_eks_cluster.this.name
  principal_arn = "arn:aws:iam::${var.account_id}:role/${local.name}-karpenter-node"
  type          = "EC2_LINUX"

  depends_on = [module.karpenter_node_role]
}

# Apart from the group's role: EKS makes the access entry of that one itself.
module "karpenter_node_role" {
  source = "../modules/role"

  name                 = "${local.name}-karpenter-node"
  description          = "Nodes that Karpenter makes"
  permissions_boundary = local.boundary
  managed_policy_arns  = module.node_role.managed_policy_arns
  trust                = module.node_role.trust
}

# Spot instances that are taken back, and instances that AWS retires: Karpenter drains them before.

resource "aws_sqs_queue" "interruptions" {
  name                      = "${local.name}-karpenter"
  message_retention_seconds = 300
  sqs_managed_sse_enabled   = true
}

locals {
  interruptions = {
    health    = { source = ["aws.health"], "detail-type" = ["AWS Health Event"] }
    spot      = { source = ["aws.ec2"], "detail-type" = ["EC2 Spot Instance Interruption Warning"] }
    rebalance = { source = ["aws.ec2"], "detail-type" = ["EC2 Instance Rebalance Recommendation"] }
    state     = { source = ["aws.ec2"], "detail-type" = ["EC2 Instance State-change Notification"] }
  }
  interruptions_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "Events"
        Effect    = "Allow"
        Principal = { Service = "events.amazonaws.com" }
        Action    = "sqs:SendMessage"
        Resource  = "arn:aws:sqs:${var.region}:${var.account_id}:${local.name}-karpenter"
        Condition = { ArnLike = { "aws:SourceArn" = "arn:aws:events:${var.region}:${var.account_id}:rule/${local.name}-karpenter-*" } }
      },
      {
        Sid       = "OnlyTls"
        Effect    = "Deny"
        Principal = "*"
        Action    = "sqs:*"
        Resource  = "arn:aws:sqs:${var.region}:${var.account_id}:${local.name}-karpenter"
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
    ]
  })
}

resource "aws_sqs_queue_policy" "interruptions" {
  queue_url = aws_sqs_queue.interruptions.url
  policy    = local.interruptions_policy
}

resource "aws_cloudwatch_event_rule" "interruptions" {
  for_each      = local.interruptions
  name          = "${local.name}-karpenter-${each.key}"
  event_pattern = jsonencode(each.value)
}

resource "aws_cloudwatch_event_target" "interruptions" {
  for_each = local.interruptions
  rule     = aws_cloudwatch_event_rule.interruptions[each.key].name
  arn      = aws_sqs_queue.interruptions.arn
}
