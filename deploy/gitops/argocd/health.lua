-- How Argo CD shows a Rollout of sluice.dev. It reads the conditions, in the order in which kstatus reads them; of the
-- phase only whether something other than the version is awaited.
local hs = {}
local status = obj.status
if status == nil or status.observedGeneration ~= obj.metadata.generation then
  hs.status = "Progressing"
  hs.message = "waiting for Sluice to look at this Rollout"
  return hs
end

local holds = {}
for _, condition in ipairs(status.conditions or {}) do
  holds[condition.type] = condition.status == "True"
end

if holds["Stalled"] then
  hs.status = "Degraded"
elseif holds["Reconciling"] then
  if status.phase == "Held" then
    hs.status = "Suspended"
  else
    hs.status = "Progressing"
  end
elseif holds["Ready"] then
  hs.status = "Healthy"
else
  hs.status = "Progressing"
end
hs.message = status.message
return hs
