# A role for the pods of one service account, by EKS Pod Identity, and by IRSA where the cluster has an OIDC provider.

locals {
  pod_identity = {
    Effect    = "Allow"
    Principal = { Service = "pods.eks.amazonaws.com" }
    Action    = ["sts:AssumeRole", "sts:TagSession"]
    Condition = {
      StringEquals = {
        "aws:SourceAccount"                         = var.cluster.account_id
        "aws:RequestTag/kubernetes-namespace"       = var.namespace
        "aws:RequestTag/kubernetes-service-account" = var.service_account
      }
      ArnEquals = { "aws:SourceArn" = var.cluster.arn }
    }
  }
  issuer = var.cluster.oidc_provider_arn == null ? "" : split("oidc-provider/", var.cluster.oidc_provider_arn)[1]
  irsa = {
    Effect    = "Allow"
    Principal = { Federated = var.cluster.oidc_provider_arn }
    Action    = ["sts:AssumeRoleWithWebIdentity"]
    Condition = {
      StringEquals = {
        "${local.issuer}:aud" = "sts.amazonaws.com"
        "${local.issuer}:sub" = "system:serviceaccount:${var.namespace}:${var.service_account}"
      }
    }
  }
  statements = concat(
    [jsonencode(local.pod_identity)],
    var.cluster.oidc_provider_arn == null ? [] : [jsonencode(local.irsa)],
  )
}

module "role" {
  source = "../role"

  name                 = var.name
  description          = var.description
  trust                = "{\"Version\":\"2012-10-17\",\"Statement\":[${join(",", local.statements)}]}"
  policy               = var.policy
  managed_policy_arns  = var.managed_policy_arns
  permissions_boundary = var.permissions_boundary
}

resource "aws_eks_pod_identity_association" "this" {
  cluster_name    = var.cluster.name
  namespace       = var.namespace
  service_account = var.service_account
  role_arn        = module.role.arn
}
