-- Skips the waves that are left: the Deployment rolls at once, and judging goes on.
local os = require("os")

local request = {}
request.apiVersion = "sluice.dev/v1alpha1"
request.kind = "Intervention"
request.metadata = {
  name = obj.metadata.name .. "-promote-full-" .. os.date("!%Y%m%d%H%M%S"),
  namespace = obj.metadata.namespace,
  -- Shown below the Rollout, and gone with it.
  ownerReferences = {
    {apiVersion = obj.apiVersion, kind = obj.kind, name = obj.metadata.name, uid = obj.metadata.uid},
  },
}
request.spec = {
  rollout = obj.metadata.name,
  action = "Promote",
  reason = "asked for in Argo CD",
}
-- It is meant for this attempt and no other.
request.spec.release = obj.status.run.release
return {{operation = "create", resource = request}}
