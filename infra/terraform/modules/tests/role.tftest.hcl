mock_provider "aws" {
  source = "../tests/mocks"
}

variables {
  name        = "birthday-test"
  description = "test"
  trust = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "lambda.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "aws:SourceAccount" = "123456789012" } }
    }]
  })
  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = ["s3:GetObject"], Resource = "arn:aws:s3:::birthday/*" }]
  })
  cluster = {
    name       = "birthday"
    arn        = "arn:aws:eks:eu-central-1:123456789012:cluster/birthday"
    account_id = "123456789012"
  }
  namespace       = "app-space"
  service_account = "hello-api"
}

run "role" {
  command = plan

  module {
    source = "./role"
  }

  variables {
    permissions_boundary = "arn:aws:iam::123456789012:policy/birthday-test-boundary"
  }

  assert {
    condition     = output.trust == var.trust && output.policy == var.policy
    error_message = "trust and policy are what was said"
  }
  assert {
    condition     = aws_iam_role.this.permissions_boundary == "arn:aws:iam::123456789012:policy/birthday-test-boundary"
    error_message = "the boundary is set"
  }
  assert {
    condition     = aws_iam_role.this.max_session_duration == 3600
    error_message = "a session lasts an hour"
  }
}

run "no_wildcard_action" {
  command = plan

  module {
    source = "./role"
  }

  variables {
    policy = jsonencode({ Version = "2012-10-17", Statement = [{ Effect = "Allow", Action = ["s3:Get*"], Resource = "*" }] })
  }

  expect_failures = [var.policy]
}

run "no_wildcard_action_alone" {
  command = plan

  module {
    source = "./role"
  }

  variables {
    policy = jsonencode({ Version = "2012-10-17", Statement = [{ Effect = "Allow", Action = "*", Resource = "*" }] })
  }

  expect_failures = [var.policy]
}

run "no_not_action" {
  command = plan

  module {
    source = "./role"
  }

  variables {
    policy = jsonencode({
      Version   = "2012-10-17"
      Statement = [{ Effect = "Allow", Action = ["s3:GetObject"], NotAction = ["iam:GetRole"], Resource = "*" }]
    })
  }

  expect_failures = [var.policy]
}

run "no_trust_without_condition" {
  command = plan

  module {
    source = "./role"
  }

  variables {
    trust = jsonencode({
      Version   = "2012-10-17"
      Statement = [{ Effect = "Allow", Principal = { Service = "scheduler.amazonaws.com" }, Action = "sts:AssumeRole" }]
    })
  }

  expect_failures = [var.trust]
}

run "no_trust_in_everybody" {
  command = plan

  module {
    source = "./role"
  }

  variables {
    trust = jsonencode({
      Version = "2012-10-17"
      Statement = [{
        Effect    = "Allow"
        Principal = { AWS = "*" }
        Action    = "sts:AssumeRole"
        Condition = { StringEquals = { "aws:SourceAccount" = "123456789012" } }
      }]
    })
  }

  expect_failures = [var.trust]
}

run "no_administrator" {
  command = plan

  module {
    source = "./role"
  }

  variables {
    managed_policy_arns = ["arn:aws:iam::aws:policy/AdministratorAccess"]
  }

  expect_failures = [var.managed_policy_arns]
}

run "pod_identity" {
  command = plan

  module {
    source = "./pod-role"
  }

  assert {
    condition = jsondecode(output.trust) == {
      Version = "2012-10-17"
      Statement = [{
        Effect    = "Allow"
        Principal = { Service = "pods.eks.amazonaws.com" }
        Action    = ["sts:AssumeRole", "sts:TagSession"]
        Condition = {
          StringEquals = {
            "aws:SourceAccount"                         = "123456789012"
            "aws:RequestTag/kubernetes-namespace"       = "app-space"
            "aws:RequestTag/kubernetes-service-account" = "hello-api"
          }
          ArnEquals = { "aws:SourceArn" = "arn:aws:eks:eu-central-1:123456789012:cluster/birthday" }
        }
      }]
    }
    error_message = "only this service account of this cluster"
  }
  assert {
    condition = (
      aws_eks_pod_identity_association.this.namespace == "app-space"
      && aws_eks_pod_identity_association.this.service_account == "hello-api"
      && aws_eks_pod_identity_association.this.cluster_name == "birthday"
    )
    error_message = "the association is the same service account's"
  }
}

run "irsa_beside_it" {
  command = plan

  module {
    source = "./pod-role"
  }

  variables {
    cluster = {
      name              = "birthday"
      arn               = "arn:aws:eks:eu-central-1:123456789012:cluster/birthday"
      account_id        = "123456789012"
      oidc_provider_arn = "arn:aws:iam::123456789012:oidc-provider/oidc.eks.eu-central-1.amazonaws.com/id/0123"
    }
  }

  assert {
    condition = jsondecode(output.trust).Statement[1] == {
      Effect    = "Allow"
      Principal = { Federated = "arn:aws:iam::123456789012:oidc-provider/oidc.eks.eu-central-1.amazonaws.com/id/0123" }
      Action    = ["sts:AssumeRoleWithWebIdentity"]
      Condition = {
        StringEquals = {
          "oidc.eks.eu-central-1.amazonaws.com/id/0123:aud" = "sts.amazonaws.com"
          "oidc.eks.eu-central-1.amazonaws.com/id/0123:sub" = "system:serviceaccount:app-space:hello-api"
        }
      }
    }
    error_message = "only this service account, for STS"
  }
}
