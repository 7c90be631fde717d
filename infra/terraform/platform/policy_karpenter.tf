# What Karpenter's controller may do: instances that carry the cluster's tag, and nothing else's.
# Source: Karpenter's reference, "CloudFormation", KarpenterControllerPolicy of version 1.

locals {
  owned          = "kubernetes.io/cluster/${local.name}"
  ec2            = "arn:aws:ec2:${var.region}"
  karpenter_tags = { "aws:RequestTag/${local.owned}" = "owned", "aws:RequestTag/eks:eks-cluster-name" = local.name }
  karpenter_own  = { "aws:ResourceTag/${local.owned}" = "owned" }
  karpenter_made = ["fleet", "instance", "volume", "network-interface", "launch-template", "spot-instances-request"]
  profiles       = "arn:aws:iam::${var.account_id}:instance-profile/*"

  karpenter_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid    = "LaunchFromImages"
        Effect = "Allow"
        Action = ["ec2:CreateFleet", "ec2:RunInstances"]
        Resource = [
          "${local.ec2}::image/*",
          "${local.ec2}::snapshot/*",
          "${local.ec2}:*:security-group/*",
          "${local.ec2}:*:subnet/*",
          "${local.ec2}:*:capacity-reservation/*",
        ]
      },
      {
        Sid       = "LaunchFromOwnTemplates"
        Effect    = "Allow"
        Action    = ["ec2:CreateFleet", "ec2:RunInstances"]
        Resource  = ["${local.ec2}:*:launch-template/*"]
        Condition = { StringEquals = local.karpenter_own, StringLike = { "aws:ResourceTag/karpenter.sh/nodepool" = "*" } }
      },
      {
        Sid       = "LaunchWithTags"
        Effect    = "Allow"
        Action    = ["ec2:CreateFleet", "ec2:CreateLaunchTemplate", "ec2:RunInstances"]
        Resource  = [for kind in local.karpenter_made : "${local.ec2}:*:${kind}/*"]
        Condition = { StringEquals = local.karpenter_tags, StringLike = { "aws:RequestTag/karpenter.sh/nodepool" = "*" } }
      },
      {
        Sid      = "TagWhatIsMade"
        Effect   = "Allow"
        Action   = ["ec2:CreateTags"]
        Resource = [for kind in local.karpenter_made : "${local.ec2}:*:${kind}/*"]
        Condition = {
          StringEquals = merge(local.karpenter_tags, {
            "ec2:CreateAction" = ["RunInstances", "CreateFleet", "CreateLaunchTemplate"]
          })
          StringLike = { "aws:RequestTag/karpenter.sh/nodepool" = "*" }
        }
      },
      {
        Sid      = "TagOwnInstances"
        Effect   = "Allow"
        Action   = ["ec2:CreateTags"]
        Resource = ["${local.ec2}:*:instance/*"]
        Condition = {
          StringEquals         = local.karpenter_own
          StringLike           = { "aws:ResourceTag/karpenter.sh/nodepool" = "*" }
          StringEqualsIfExists = { "aws:RequestTag/eks:eks-cluster-name" = local.name }
          "ForAllValues:StringEquals" = {
            "aws:TagKeys" = ["eks:eks-cluster-name", "karpenter.sh/nodeclaim", "Name"]
          }
        }
      },
      {
        Sid       = "DeleteOwn"
        Effect    = "Allow"
        Action    = ["ec2:DeleteLaunchTemplate", "ec2:TerminateInstances"]
        Resource  = ["${local.ec2}:*:instance/*", "${local.ec2}:*:launch-template/*"]
        Condition = { StringEquals = local.karpenter_own, StringLike = { "aws:ResourceTag/karpenter.sh/nodepool" = "*" } }
      },
      {
        Sid    = "ReadRegion"
        Effect = "Allow"
        Action = [
          "ec2:DescribeCapacityReservations",
          "ec2:DescribeImages",
          "ec2:DescribeInstanceTypeOfferings",
          "ec2:DescribeInstanceTypes",
          "ec2:DescribeInstances",
          "ec2:DescribeLaunchTemplates",
          "ec2:DescribeSecurityGroups",
          "ec2:DescribeSpotPriceHistory",
          "ec2:DescribeSubnets",
        ]
        Resource  = "*"
        Condition = { StringEquals = { "aws:RequestedRegion" = var.region } }
      },
      {
        Sid      = "ReadImages"
        Effect   = "Allow"
        Action   = ["ssm:GetParameter"]
        Resource = "arn:aws:ssm:${var.region}::parameter/aws/service/*"
      },
      {
        Sid      = "ReadPrices"
        Effect   = "Allow"
        Action   = ["pricing:GetProducts"]
        Resource = "*"
      },
      {
        Sid      = "ReadInterruptions"
        Effect   = "Allow"
        Action   = ["sqs:DeleteMessage", "sqs:GetQueueUrl", "sqs:ReceiveMessage"]
        Resource = "arn:aws:sqs:${var.region}:${var.account_id}:${local.name}-karpenter"
      },
      {
        Sid       = "PassRoleToNodes"
        Effect    = "Allow"
        Action    = ["iam:PassRole"]
        Resource  = "arn:aws:iam::${var.account_id}:role/${local.name}-karpenter-node"
        Condition = { StringEquals = { "iam:PassedToService" = "ec2.amazonaws.com" } }
      },
      {
        Sid      = "MakeInstanceProfiles"
        Effect   = "Allow"
        Action   = ["iam:CreateInstanceProfile"]
        Resource = local.profiles
        Condition = {
          StringEquals = merge(local.karpenter_tags, { "aws:RequestTag/topology.kubernetes.io/region" = var.region })
          StringLike   = { "aws:RequestTag/karpenter.k8s.aws/ec2nodeclass" = "*" }
        }
      },
      {
        Sid      = "TagOwnInstanceProfiles"
        Effect   = "Allow"
        Action   = ["iam:TagInstanceProfile"]
        Resource = local.profiles
        Condition = {
          StringEquals = merge(local.karpenter_tags, local.karpenter_own, {
            "aws:RequestTag/topology.kubernetes.io/region"  = var.region
            "aws:ResourceTag/topology.kubernetes.io/region" = var.region
          })
        }
      },
      {
        Sid    = "KeepOwnInstanceProfiles"
        Effect = "Allow"
        Action = [
          "iam:AddRoleToInstanceProfile",
          "iam:DeleteInstanceProfile",
          "iam:RemoveRoleFromInstanceProfile",
        ]
        Resource = local.profiles
        Condition = {
          StringEquals = merge(local.karpenter_own, { "aws:ResourceTag/topology.kubernetes.io/region" = var.region })
        }
      },
      {
        Sid      = "ReadInstanceProfiles"
        Effect   = "Allow"
        Action   = ["iam:GetInstanceProfile"]
        Resource = local.profiles
      },
      {
        Sid      = "ListInstanceProfiles"
        Effect   = "Allow"
        Action   = ["iam:ListInstanceProfiles"]
        Resource = "*"
      },
      {
        Sid      = "FindControlPlane"
        Effect   = "Allow"
        Action   = ["eks:DescribeCluster"]
        Resource = local.cluster_arn
      },
    ]
  })
}
