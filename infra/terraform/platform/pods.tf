# Roles of the controllers, each for one service account. The API's own role is in the layer `data`.

locals {
  cluster = {
    name              = aws_eks_cluster.this.name
    arn               = local.cluster_arn
    account_id        = var.account_id
    oidc_provider_arn = one(aws_iam_openid_connect_provider.cluster[*].arn)
  }

  controllers = merge(
    {
      load-balancer-controller = {
        namespace       = "kube-system"
        service_account = "aws-load-balancer-controller"
        policy          = local.load_balancer_controller_policy
      }
      karpenter = {
        namespace       = "kube-system"
        service_account = "karpenter"
        policy          = local.karpenter_policy
      }
      external-secrets = {
        namespace       = "external-secrets"
        service_account = "external-secrets"
        policy          = local.external_secrets_policy
      }
    },
    var.hosted_zone_id == null ? {} : {
      external-dns = {
        namespace       = "external-dns"
        service_account = "external-dns"
        policy          = local.external_dns_policy
      }
    },
  )

  external_dns_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "ChangeRecords"
        Effect   = "Allow"
        Action   = ["route53:ChangeResourceRecordSets"]
        Resource = "arn:aws:route53:::hostedzone/${var.hosted_zone_id == null ? "" : var.hosted_zone_id}"
        Condition = {
          # An alias of the edge, or a record of mail, is not ExternalDNS's.
          "ForAllValues:StringEquals" = { "route53:ChangeResourceRecordSetsRecordTypes" = ["A", "AAAA", "CNAME", "TXT"] }
        }
      },
      {
        Sid      = "ReadZone"
        Effect   = "Allow"
        Action   = ["route53:ListResourceRecordSets", "route53:ListTagsForResources"]
        Resource = "arn:aws:route53:::hostedzone/${var.hosted_zone_id == null ? "" : var.hosted_zone_id}"
      },
      {
        Sid      = "FindZones"
        Effect   = "Allow"
        Action   = ["route53:ListHostedZones"]
        Resource = "*"
      },
    ]
  })

  external_secrets_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid    = "ReadSecrets"
        Effect = "Allow"
        Action = ["secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"]
        Resource = [
          "arn:aws:secretsmanager:${var.region}:${var.account_id}:secret:birthday/*",
          # The master password, which RDS keeps there: for the job that makes the table and the role.
          "arn:aws:secretsmanager:${var.region}:${var.account_id}:secret:rds!*",
        ]
      },
      {
        Sid      = "Decrypt"
        Effect   = "Allow"
        Action   = ["kms:Decrypt"]
        Resource = "arn:aws:kms:${var.region}:${var.account_id}:key/*"
        Condition = {
          StringEquals               = { "kms:ViaService" = "secretsmanager.${var.region}.amazonaws.com" }
          "ForAnyValue:StringEquals" = { "kms:ResourceAliases" = "alias/${local.name}-data" }
        }
      },
    ]
  })
}

module "controller" {
  for_each = local.controllers
  source   = "../modules/pod-role"

  name                 = "${local.name}-${each.key}"
  description          = "The controller ${each.key}"
  permissions_boundary = local.boundary
  cluster              = local.cluster
  namespace            = each.value.namespace
  service_account      = each.value.service_account
  policy               = each.value.policy
}
