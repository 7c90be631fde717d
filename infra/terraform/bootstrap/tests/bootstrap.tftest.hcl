mock_provider "aws" {
  source = "../tests/mocks"
}

run "bootstrap" {
  command = plan

  assert {
    condition     = alltrue([for bucket in [module.states, module.logs] : !bucket.public && bucket.versioning == "Enabled"])
    error_message = "no bucket is public; each is versioned"
  }
  assert {
    condition     = module.states.encryption == "aws:kms" && module.logs.encryption == "AES256"
    error_message = "states are encrypted by our key, logs by S3's"
  }
  assert {
    condition = (
      aws_s3_account_public_access_block.this.block_public_acls
      && aws_s3_account_public_access_block.this.block_public_policy
      && aws_s3_account_public_access_block.this.ignore_public_acls
      && aws_s3_account_public_access_block.this.restrict_public_buckets
    )
    error_message = "the account makes no bucket public"
  }
  assert {
    condition     = aws_ebs_encryption_by_default.this.enabled
    error_message = "disks are encrypted by default"
  }
  assert {
    condition     = aws_iam_openid_connect_provider.github.client_id_list == toset(["sts.amazonaws.com"])
    error_message = "tokens are for STS"
  }
  assert {
    condition     = aws_iam_openid_connect_provider.github.url == "https://token.actions.githubusercontent.com"
    error_message = "tokens are GitHub's"
  }

  # Trust.
  assert {
    condition = alltrue([
      for role, module in { plan = module.plan, apply = module.apply, publish = module.publish } :
      jsondecode(module.trust) == {
        Version = "2012-10-17"
        Statement = [{
          Effect    = "Allow"
          Principal = { Federated = "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com" }
          Action    = "sts:AssumeRoleWithWebIdentity"
          Condition = {
            StringEquals = {
              "token.actions.githubusercontent.com:aud" = "sts.amazonaws.com"
              "token.actions.githubusercontent.com:sub" = format(
                "repo:example/birthday:environment:%s",
                { plan = "${var.environment}-plan", apply = var.environment, publish = "${var.environment}-release" }[role],
              )
            }
          }
        }]
      }
    ])
    error_message = "a role is taken from its repository and its environment, and from nowhere else"
  }

  # Permissions.
  assert {
    condition = alltrue(flatten([
      for policy in [module.plan.policy, module.apply.policy, module.publish.policy] : [
        for statement in jsondecode(policy).Statement : statement.Effect == "Deny" || alltrue([
          for action in flatten([statement.Action]) : !strcontains(action, "*")
        ])
      ]
    ]))
    error_message = "no role has a wildcard among its actions"
  }
  assert {
    condition = (
      module.plan.managed_policy_arns == toset(["arn:aws:iam::aws:policy/ReadOnlyAccess"])
      && module.apply.managed_policy_arns == toset(["arn:aws:iam::aws:policy/PowerUserAccess"])
      && module.publish.managed_policy_arns == toset([])
    )
    error_message = "only these policies of AWS"
  }
  assert {
    condition = [
      for statement in jsondecode(module.plan.policy).Statement : statement.Resource
      if statement.Effect == "Allow" && length(setintersection(statement.Action, ["s3:PutObject", "s3:DeleteObject"])) > 0
    ] == ["arn:aws:s3:::birthday-${var.environment}-terraform-states-${var.account_id}/*.tflock"]
    error_message = "a plan writes nothing but locks"
  }
  assert {
    condition = length(setsubtract(
      ["secretsmanager:GetSecretValue", "dynamodb:GetItem", "dynamodb:Scan", "dynamodb:Query"],
      flatten([for statement in jsondecode(module.plan.policy).Statement : statement.Action if statement.Effect == "Deny"]),
    )) == 0
    error_message = "a plan reads no data and no secret"
  }
  assert {
    condition = alltrue([
      for statement in jsondecode(module.apply.policy).Statement :
      statement.Condition == { StringEquals = { "iam:PermissionsBoundary" = "arn:aws:iam::${var.account_id}:policy/birthday-${var.environment}-boundary" } }
      if contains(statement.Action, "iam:CreateRole")
    ])
    error_message = "a role is made with its bounds only"
  }
  assert {
    condition = alltrue([
      for statement in jsondecode(module.apply.policy).Statement :
      statement.Effect == "Deny" && length(setsubtract(["iam:PutRolePolicy", "iam:AttachRolePolicy", "iam:UpdateAssumeRolePolicy"], statement.Action)) == 0
      && toset(statement.Resource) == toset([for role in ["plan", "apply", "publish"] : "arn:aws:iam::${var.account_id}:role/birthday-${var.environment}-${role}"])
      if statement.Sid == "NotItself"
    ]) && contains(jsondecode(module.apply.policy).Statement[*].Sid, "NotItself")
    error_message = "the role of apply cannot change itself"
  }
  assert {
    condition = alltrue([
      for action in ["iam:*", "organizations:*", "account:*"] :
      contains(jsondecode(aws_iam_policy.boundary.policy).Statement[0].NotAction, action)
    ])
    error_message = "the bounds have no identities"
  }
  assert {
    condition = [
      for statement in jsondecode(aws_iam_policy.boundary.policy).Statement : statement if statement.Sid == "NoStates"
      ] == [{
        Sid    = "NoStates"
        Effect = "Deny"
        Action = ["s3:*"]
        Resource = [
          "arn:aws:s3:::birthday-${var.environment}-terraform-states-${var.account_id}",
          "arn:aws:s3:::birthday-${var.environment}-terraform-states-${var.account_id}/*",
        ]
    }]
    error_message = "the bounds have no states"
  }
  assert {
    condition     = var.environment != "prod" || var.log_retention_days >= 365
    error_message = "prod keeps the log of accesses for a year"
  }
}

run "no_wildcard_among_repositories" {
  command = plan

  variables {
    github_repository = "example/*"
  }

  expect_failures = [var.github_repository]
}

run "an_environment_for_each_role" {
  command = plan

  variables {
    github_environments = { plan = "prod", apply = "prod", publish = "release" }
  }

  expect_failures = [var.github_environments]
}

run "no_wildcard_among_environments" {
  command = plan

  variables {
    github_environments = { plan = "*", apply = "prod", publish = "release" }
  }

  expect_failures = [var.github_environments]
}

run "prod_keeps_its_buckets" {
  command = plan

  variables {
    environment   = "prod"
    force_destroy = true
  }

  expect_failures = [var.force_destroy]
}
