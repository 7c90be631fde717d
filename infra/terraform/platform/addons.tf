# Add-ons of EKS. Those that nodes need come before them, the others after.

locals {
  addons = {
    "vpc-cni" = {
      before_nodes = true
      configuration = {
        enableNetworkPolicy = "true"
        env                 = { ENABLE_PREFIX_DELEGATION = "true", WARM_PREFIX_TARGET = "1" }
      }
    }
    "kube-proxy"             = { before_nodes = true, configuration = {} }
    "eks-pod-identity-agent" = { before_nodes = true, configuration = {} }
    "coredns" = {
      before_nodes = false
      configuration = {
        autoScaling = { enabled = true, minReplicas = 2, maxReplicas = 10 }
      }
    }
    "aws-ebs-csi-driver" = { before_nodes = false, configuration = {} }
  }
  addon_pods = {
    "vpc-cni" = {
      service_account = "aws-node"
      policy_arn      = "arn:aws:iam::aws:policy/AmazonEKS_CNI_Policy"
    }
    "aws-ebs-csi-driver" = {
      service_account = "ebs-csi-controller-sa"
      policy_arn      = "arn:aws:iam::aws:policy/service-role/AmazonEBSCSIDriverPolicy"
    }
  }
}

module "addon_role" {
  for_each = local.addon_pods
  source   = "../modules/role"

  name                 = "${local.name}-${each.key}"
  description          = "The add-on ${each.key}"
  permissions_boundary = local.boundary
  managed_policy_arns  = [each.value.policy_arn]
  trust = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "pods.eks.amazonaws.com" }
      Action    = ["sts:AssumeRole", "sts:TagSession"]
      Condition = {
        StringEquals = {
          "aws:SourceAccount"                         = var.account_id
          "aws:RequestTag/kubernetes-namespace"       = "kube-system"
          "aws:RequestTag/kubernetes-service-account" = each.value.service_account
        }
        ArnEquals = { "aws:SourceArn" = local.cluster_arn }
      }
    }]
  })
}

resource "aws_eks_addon" "before_nodes" {
  for_each                    = { for name, addon in local.addons : name => addon if addon.before_nodes }
  cluster_name                = aws_eks_cluster.this.name
  addon_name                  = each.key
  addon_version               = lookup(var.addon_versions, each.key, null)
  configuration_values        = jsonencode(each.value.configuration)
  resolve_conflicts_on_create = "OVERWRITE"
  resolve_conflicts_on_update = "OVERWRITE"

  dynamic "pod_identity_association" {
    for_each = contains(keys(local.addon_pods), each.key) ? [local.addon_pods[each.key]] : []

    content {
      service_account = pod_identity_association.value.service_account
      role_arn        = module.addon_role[each.key].arn
    }
  }
}

resource "aws_eks_addon" "after_nodes" {
  for_each                    = { for name, addon in local.addons : name => addon if !addon.before_nodes }
  cluster_name                = aws_eks_cluster.this.name
  addon_name                  = each.key
  addon_version               = lookup(var.addon_versions, each.key, null)
  configuration_values        = jsonencode(each.value.configuration)
  resolve_conflicts_on_create = "OVERWRITE"
  resolve_conflicts_on_update = "OVERWRITE"

  dynamic "pod_identity_association" {
    for_each = contains(keys(local.addon_pods), each.key) ? [local.addon_pods[each.key]] : []

    content {
      service_account = pod_identity_association.value.service_account
      role_arn        = module.addon_role[each.key].arn
    }
  }

  depends_on = [aws_eks_node_group.system]
}
