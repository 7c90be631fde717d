# The bounds of every role that the layers make: whatever its policies say, it changes no identity, no account and no state.

locals {
  boundary = "arn:aws:iam::${var.account_id}:policy/${local.name}-boundary"
  boundary_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "AllButIdentities"
        Effect    = "Allow"
        NotAction = ["account:*", "iam:*", "organizations:*", "sso:*"]
        Resource  = "*"
      },
      {
        # Karpenter makes instance profiles for its nodes.
        Sid    = "InstanceProfiles"
        Effect = "Allow"
        Action = [
          "iam:AddRoleToInstanceProfile",
          "iam:CreateInstanceProfile",
          "iam:DeleteInstanceProfile",
          "iam:GetInstanceProfile",
          "iam:ListInstanceProfiles",
          "iam:RemoveRoleFromInstanceProfile",
          "iam:TagInstanceProfile",
        ]
        Resource = "*"
      },
      {
        Sid       = "PassRolesToInstances"
        Effect    = "Allow"
        Action    = ["iam:PassRole"]
        Resource  = local.roles
        Condition = { StringEquals = { "iam:PassedToService" = "ec2.amazonaws.com" } }
      },
      {
        Sid      = "NoStates"
        Effect   = "Deny"
        Action   = ["s3:*"]
        Resource = ["arn:aws:s3:::${local.states}", "arn:aws:s3:::${local.states}/*"]
      },
    ]
  })
}

resource "aws_iam_policy" "boundary" {
  name        = "${local.name}-boundary"
  description = "The bounds of every role of ${local.name}"
  policy      = local.boundary_policy
}
