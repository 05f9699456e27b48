-- Tries the rejected template once more, on new evidence.
local os = require("os")

local request = {}
request.apiVersion = "sluice.dev/v1alpha1"
request.kind = "Intervention"
request.metadata = {
  name = obj.metadata.name .. "-retry-" .. os.date("!%Y%m%d%H%M%S"),
  namespace = obj.metadata.namespace,
  -- Shown below the Rollout, and gone with it.
  ownerReferences = {
    {apiVersion = obj.apiVersion, kind = obj.kind, name = obj.metadata.name, uid = obj.metadata.uid},
  },
}
request.spec = {
  rollout = obj.metadata.name,
  action = "Retry",
  reason = "asked for in Argo CD",
}
return {{operation = "create", resource = request}}
