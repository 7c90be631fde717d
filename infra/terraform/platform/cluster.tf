# EKS. The control plane has no public address, and its secrets are encrypted by our key.

module "key" {
  source = "../modules/key"

  name        = "${local.name}-cluster"
  description = "Secrets, disks and logs of the cluster"
  account_id  = var.account_id
  services = {
    "logs.${var.region}.amazonaws.com" = {
      ArnLike = { "kms:EncryptionContext:aws:logs:arn" = "arn:aws:logs:${var.region}:${var.account_id}:log-group:${local.cluster_logs}" }
    }
  }
}

locals {
  cluster_logs = "/aws/eks/${local.name}/cluster"
  cluster_arn  = "arn:aws:eks:${var.region}:${var.account_id}:cluster/${local.name}"
}

# EKS would make it without retention.
resource "aws_cloudwatch_log_group" "cluster" {
  name              = local.cluster_logs
  retention_in_days = var.log_retention_days
  kms_key_id        = module.key.arn
}

module "cluster_role" {
  source = "../modules/role"

  name                 = "${local.name}-cluster"
  description          = "The control plane"
  permissions_boundary = local.boundary
  managed_policy_arns  = ["arn:aws:iam::aws:policy/AmazonEKSClusterPolicy"]
  trust = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "eks.amazonaws.com" }
      Action    = ["sts:AssumeRole", "sts:TagSession"]
      Condition = {
        StringEquals = { "aws:SourceAccount" = var.account_id }
        ArnEquals    = { "aws:SourceArn" = local.cluster_arn }
      }
    }]
  })
}

resource "aws_eks_cluster" "this" {
  name                      = local.name
  version                   = var.kubernetes_version
  role_arn                  = module.cluster_role.arn
  enabled_cluster_log_types = ["api", "audit", "authenticator", "controllerManager", "scheduler"]
  # The add-ons below are the only ones.
  bootstrap_self_managed_addons = false

  vpc_config {
    subnet_ids              = local.network.private_subnet_ids
    endpoint_private_access = true
    endpoint_public_access  = false
  }

  access_config {
    authentication_mode                         = "API"
    bootstrap_cluster_creator_admin_permissions = false
  }

  encryption_config {
    resources = ["secrets"]

    provider {
      key_arn = module.key.arn
    }
  }

  # A zone that fails in part can be left by one command.
  zonal_shift_config {
    enabled = true
  }

  depends_on = [aws_cloudwatch_log_group.cluster]
}

# People reach the control plane through the bastion or the VPN.
resource "aws_vpc_security_group_ingress_rule" "people" {
  security_group_id            = aws_eks_cluster.this.vpc_config[0].cluster_security_group_id
  description                  = "HTTPS from the bastion and the VPN"
  referenced_security_group_id = local.network.bastion_security_group_id
  ip_protocol                  = "tcp"
  from_port                    = 443
  to_port                      = 443
}

resource "aws_eks_access_entry" "administrators" {
  for_each      = var.administrators
  cluster_name  = aws_eks_cluster.this.name
  principal_arn = each.value
  type          = "STANDARD"
}

resource "aws_eks_access_policy_association" "administrators" {
  for_each      = var.administrators
  cluster_name  = aws_eks_cluster.this.name
  principal_arn = aws_eks_access_entry.administrators[each.key].principal_arn
  policy_arn    = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"

  access_scope {
    type = "cluster"
  }
}

# AWS checks the issuer's certificate by its own authorities.
resource "aws_iam_openid_connect_provider" "cluster" {
  count          = var.irsa ? 1 : 0
  url            = aws_eks_cluster.this.identity[0].oidc[0].issuer
  client_id_list = ["sts.amazonaws.com"]
}
