# GitHub's jobs get short-lived credentials, each for one repository and one environment of it (which has its own approvals).

resource "aws_iam_openid_connect_provider" "github" {
  url            = "https://token.actions.githubusercontent.com"
  client_id_list = ["sts.amazonaws.com"]
}

locals {
  # Exact: a pull request of a fork, another branch or another environment has another subject.
  trust = { for role, environment in var.github_environments : role => jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Federated = aws_iam_openid_connect_provider.github.arn }
      Action    = "sts:AssumeRoleWithWebIdentity"
      Condition = {
        StringEquals = {
          "token.actions.githubusercontent.com:aud" = "sts.amazonaws.com"
          "token.actions.githubusercontent.com:sub" = "repo:${var.github_repository}:environment:${environment}"
        }
      }
    }]
  }) }

  state_statements = [
    {
      Sid      = "FindStates"
      Effect   = "Allow"
      Action   = ["s3:ListBucket"]
      Resource = "arn:aws:s3:::${local.states}"
    },
    {
      Sid      = "UseKeyOfStates"
      Effect   = "Allow"
      Action   = ["kms:Decrypt", "kms:GenerateDataKey"]
      Resource = module.key.arn
    },
  ]

  plan_policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(local.state_statements, [
      {
        Sid      = "ReadStates"
        Effect   = "Allow"
        Action   = ["s3:GetObject"]
        Resource = "arn:aws:s3:::${local.states}/*"
      },
      {
        Sid      = "LockStates"
        Effect   = "Allow"
        Action   = ["s3:PutObject", "s3:DeleteObject"]
        Resource = "arn:aws:s3:::${local.states}/*.tflock"
      },
      {
        # ReadOnlyAccess would read the data, too. A plan needs only the settings.
        Sid    = "NoData"
        Effect = "Deny"
        Action = [
          "dynamodb:BatchGetItem",
          "dynamodb:GetItem",
          "dynamodb:Query",
          "dynamodb:Scan",
          "logs:FilterLogEvents",
          "logs:GetLogEvents",
          "logs:StartQuery",
          "secretsmanager:BatchGetSecretValue",
          "secretsmanager:GetSecretValue",
          "sqs:ReceiveMessage",
        ]
        Resource = "*"
      },
      {
        Sid         = "NoObjectsButStates"
        Effect      = "Deny"
        Action      = ["s3:GetObject", "s3:GetObjectVersion"]
        NotResource = "arn:aws:s3:::${local.states}/*"
      },
    ])
  })

  apply_policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(local.state_statements, [
      {
        Sid      = "ReadIam"
        Effect   = "Allow"
        Action   = local.iam_reads
        Resource = "*"
      },
      {
        # A role can be made only with the bounds, so that nobody gets more by making one.
        Sid      = "MakeBoundedRoles"
        Effect   = "Allow"
        Action   = ["iam:CreateRole", "iam:PutRolePermissionsBoundary"]
        Resource = local.roles
        Condition = {
          StringEquals = { "iam:PermissionsBoundary" = local.boundary }
        }
      },
      {
        Sid    = "KeepRoles"
        Effect = "Allow"
        Action = [
          "iam:AttachRolePolicy",
          "iam:DeleteRole",
          "iam:DeleteRolePolicy",
          "iam:DetachRolePolicy",
          "iam:PutRolePolicy",
          "iam:TagRole",
          "iam:UntagRole",
          "iam:UpdateAssumeRolePolicy",
          "iam:UpdateRole",
          "iam:UpdateRoleDescription",
        ]
        Resource = local.roles
      },
      {
        Sid    = "KeepInstanceProfiles"
        Effect = "Allow"
        Action = [
          "iam:AddRoleToInstanceProfile",
          "iam:CreateInstanceProfile",
          "iam:DeleteInstanceProfile",
          "iam:RemoveRoleFromInstanceProfile",
          "iam:TagInstanceProfile",
        ]
        Resource = "arn:aws:iam::${var.account_id}:instance-profile/${local.name}-*"
      },
      {
        Sid    = "KeepClusterIssuer"
        Effect = "Allow"
        Action = [
          "iam:CreateOpenIDConnectProvider",
          "iam:DeleteOpenIDConnectProvider",
          "iam:TagOpenIDConnectProvider",
        ]
        Resource = "arn:aws:iam::${var.account_id}:oidc-provider/oidc.eks.*"
      },
      {
        Sid      = "PassRoles"
        Effect   = "Allow"
        Action   = ["iam:PassRole"]
        Resource = local.roles
        Condition = {
          StringEquals = { "iam:PassedToService" = local.passed_to }
        }
      },
      {
        Sid      = "MakeRolesOfServices"
        Effect   = "Allow"
        Action   = ["iam:CreateServiceLinkedRole"]
        Resource = "arn:aws:iam::${var.account_id}:role/aws-service-role/*"
      },
      {
        # Its own role, its bounds and the other pipelines' roles are bootstrap's, which a person applies.
        Sid    = "NotItself"
        Effect = "Deny"
        Action = [
          "iam:AttachRolePolicy",
          "iam:DeleteRole",
          "iam:DeleteRolePermissionsBoundary",
          "iam:DeleteRolePolicy",
          "iam:DetachRolePolicy",
          "iam:PutRolePermissionsBoundary",
          "iam:PutRolePolicy",
          "iam:UpdateAssumeRolePolicy",
        ]
        Resource = [for role in keys(var.github_environments) : "arn:aws:iam::${var.account_id}:role/${local.name}-${role}"]
      },
    ])
  })

  publish_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "LogIn"
        Effect   = "Allow"
        Action   = ["ecr:GetAuthorizationToken"]
        Resource = "*"
      },
      {
        Sid    = "PushImages"
        Effect = "Allow"
        Action = [
          "ecr:BatchCheckLayerAvailability",
          "ecr:BatchGetImage",
          "ecr:CompleteLayerUpload",
          "ecr:DescribeImages",
          "ecr:GetDownloadUrlForLayer",
          "ecr:InitiateLayerUpload",
          "ecr:PutImage",
          "ecr:UploadLayerPart",
        ]
        Resource = [
          for repository in var.repositories : "arn:aws:ecr:${var.region}:${var.account_id}:repository/${repository}"
        ]
      },
    ]
  })

  iam_reads = [
    "iam:GetInstanceProfile",
    "iam:GetOpenIDConnectProvider",
    "iam:GetPolicy",
    "iam:GetPolicyVersion",
    "iam:GetRole",
    "iam:GetRolePolicy",
    "iam:ListAttachedRolePolicies",
    "iam:ListInstanceProfilesForRole",
    "iam:ListRolePolicies",
    "iam:ListRoles",
  ]
  passed_to = [
    "backup.amazonaws.com",
    "ec2.amazonaws.com",
    "eks.amazonaws.com",
    "grafana.amazonaws.com",
    "lambda.amazonaws.com",
    "monitoring.rds.amazonaws.com",
    "pods.eks.amazonaws.com",
    "scheduler.amazonaws.com",
    "vpc-flow-logs.amazonaws.com",
  ]
  roles = "arn:aws:iam::${var.account_id}:role/${local.name}-*"
}

# Reads settings, and locks the state.
module "plan" {
  source = "../modules/role"

  name                = "${local.name}-plan"
  description         = "terraform plan in GitHub's environment ${var.github_environments.plan}"
  trust               = local.trust.plan
  policy              = local.plan_policy
  managed_policy_arns = ["arn:aws:iam::aws:policy/ReadOnlyAccess"]
}

# PowerUserAccess is everything but IAM, organizations and the account; of IAM it has what the layers use.
module "apply" {
  source = "../modules/role"

  name                = "${local.name}-apply"
  description         = "terraform apply in GitHub's environment ${var.github_environments.apply}"
  trust               = local.trust.apply
  policy              = local.apply_policy
  managed_policy_arns = ["arn:aws:iam::aws:policy/PowerUserAccess"]
}

module "publish" {
  source = "../modules/role"

  name        = "${local.name}-publish"
  description = "Pushes images in GitHub's environment ${var.github_environments.publish}"
  trust       = local.trust.publish
  policy      = local.publish_policy
}
