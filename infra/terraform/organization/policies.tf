# Service control policies: bounds that hold for everybody in the accounts, administrators and root as well.

locals {
  # Services that have no region, or one for all.
  global_services = [
    "account:*", "acm:*", "budgets:*", "ce:*", "cloudfront:*", "health:*", "iam:*", "kms:*", "logs:*", "organizations:*", "pricing:*",
    "route53:*", "route53domains:*", "shield:*", "sts:*", "support:*", "wafv2:*",
  ]

  policies = {
    regions = {
      description = "Nothing is made outside our regions"
      units       = ["production", "development", "security"]
      statements = [{
        Sid       = "OtherRegions"
        Effect    = "Deny"
        NotAction = local.global_services
        Resource  = "*"
        Condition = { StringNotEquals = { "aws:RequestedRegion" = concat(sort(var.regions), ["us-east-1"]) } }
      }]
    }
    root = {
      description = "Root does nothing, and no account leaves"
      units       = ["production", "development", "security"]
      statements = [
        {
          Sid       = "Root"
          Effect    = "Deny"
          Action    = ["*"]
          Resource  = "*"
          Condition = { StringLike = { "aws:PrincipalArn" = "arn:aws:iam::*:root" } }
        },
        {
          Sid      = "Leave"
          Effect   = "Deny"
          Action   = ["organizations:LeaveOrganization", "account:CloseAccount"]
          Resource = "*"
        },
      ]
    }
    traces = {
      description = "Nobody removes traces"
      units       = ["production", "development", "security"]
      statements = [{
        Sid    = "Traces"
        Effect = "Deny"
        Action = [
          "cloudtrail:DeleteTrail",
          "cloudtrail:PutEventSelectors",
          "cloudtrail:StopLogging",
          "cloudtrail:UpdateTrail",
          "config:DeleteConfigurationRecorder",
          "config:StopConfigurationRecorder",
          "ec2:DeleteFlowLogs",
          "guardduty:DeleteDetector",
          "guardduty:DisassociateFromAdministratorAccount",
        ]
        Resource  = "*"
        Condition = { ArnNotLike = { "aws:PrincipalArn" = "arn:aws:iam::*:role/birthday-*-apply" } }
      }]
    }
    data = {
      description = "Nothing is unencrypted or public"
      units       = ["production"]
      statements = [
        {
          Sid       = "UnencryptedDisks"
          Effect    = "Deny"
          Action    = ["ec2:CreateVolume", "ec2:RunInstances"]
          Resource  = "arn:aws:ec2:*:*:volume/*"
          Condition = { Bool = { "ec2:Encrypted" = "false" } }
        },
        {
          Sid       = "UnencryptedDatabases"
          Effect    = "Deny"
          Action    = ["rds:CreateDBCluster", "rds:CreateDBInstance"]
          Resource  = "*"
          Condition = { Bool = { "rds:StorageEncrypted" = "false" } }
        },
        {
          Sid       = "OldMetadata"
          Effect    = "Deny"
          Action    = ["ec2:RunInstances"]
          Resource  = "arn:aws:ec2:*:*:instance/*"
          Condition = { StringNotEquals = { "ec2:MetadataHttpTokens" = "required" } }
        },
        {
          Sid      = "PublicBuckets"
          Effect   = "Deny"
          Action   = ["s3:PutAccountPublicAccessBlock"]
          Resource = "*"
          Condition = {
            ArnNotLike = { "aws:PrincipalArn" = ["arn:aws:iam::*:role/birthday-*-apply", "arn:aws:iam::*:role/OrganizationAccountAccessRole"] }
          }
        },
        {
          Sid      = "Keys"
          Effect   = "Deny"
          Action   = ["iam:CreateAccessKey", "iam:CreateUser", "iam:CreateLoginProfile"]
          Resource = "*"
        },
      ]
    }
  }

  attachments = merge([
    for name, policy in local.policies : { for unit in policy.units : "${name} ${unit}" => { policy = name, unit = unit } }
  ]...)

  documents = {
    regions = jsonencode({ Version = "2012-10-17", Statement = local.policies.regions.statements })
    root    = jsonencode({ Version = "2012-10-17", Statement = local.policies.root.statements })
    traces  = jsonencode({ Version = "2012-10-17", Statement = local.policies.traces.statements })
    data    = jsonencode({ Version = "2012-10-17", Statement = local.policies.data.statements })
  }
}

resource "aws_organizations_policy" "this" {
  for_each    = local.documents
  name        = "birthday-${each.key}"
  description = local.policies[each.key].description
  type        = "SERVICE_CONTROL_POLICY"
  content     = each.value
}

resource "aws_organizations_policy_attachment" "this" {
  for_each  = local.attachments
  policy_id = aws_organizations_policy.this[each.value.policy].id
  target_id = aws_organizations_organizational_unit.this[each.value.unit].id
}
