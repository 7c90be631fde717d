# A role whose trust and permissions are exact. The checks of its variables hold for every role of ours.

locals {
  # They take roles of their own account only, and send neither aws:SourceAccount nor aws:SourceArn: with such a condition nobody could
  # take the role.
  unconditional = ["backup.amazonaws.com", "ec2.amazonaws.com", "lambda.amazonaws.com"]
}

resource "aws_iam_role" "this" {
  name                 = var.name
  description          = var.description
  assume_role_policy   = var.trust
  permissions_boundary = var.permissions_boundary
  max_session_duration = 3600
}

resource "aws_iam_role_policy" "this" {
  count  = var.policy == null ? 0 : 1
  name   = var.name
  role   = aws_iam_role.this.name
  policy = var.policy
}

resource "aws_iam_role_policy_attachment" "this" {
  for_each   = var.managed_policy_arns
  role       = aws_iam_role.this.name
  policy_arn = each.value
}
