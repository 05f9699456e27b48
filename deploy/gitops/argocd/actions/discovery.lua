-- Which actions Argo CD offers for a Rollout of sluice.dev: those that Sluice would honour now. BreakGlass is left out on
-- purpose: it lets an unproven version roll.
local status = obj.status or {}
local run = status.run
local reason = ""
for _, condition in ipairs(status.conditions or {}) do
  if condition.type == "Ready" then
    reason = condition.reason
  end
end

-- The attempt that nothing has ended yet.
local open = run ~= nil and run.outcome == nil and run.step ~= "Closing" and run.step ~= "Done"
local weight = run ~= nil and run.weight or 0
local rolling = run ~= nil and run.step == "Promoting"

-- A step ahead that asks for approval and has none: a wave by its weight, the promotion as 0.
local approved = {}
for _, key in ipairs(run ~= nil and run.approved or {}) do
  approved[key] = true
end
local awaited = false
for _, wave in ipairs(obj.spec.waves) do
  if wave.approval == "Required" and wave.weight > weight and not approved[wave.weight] then
    awaited = true
  end
end
local promotion = obj.spec.promotion
if promotion ~= nil and promotion.approval == "Required" and not rolling and not approved[0] then
  awaited = true
end
-- Whether the policy of an error budget takes an approval is in the message; a refusal says why.
local budget = reason == "BudgetLow" or reason == "BudgetExhausted" or reason == "BudgetBurning"
  or reason == "BudgetUnknown"

-- With RestoreTemplate the rejected template waits nowhere: the last one may be applied again.
local rejected = reason == "RolledBack"
local last = status.lastRollback
if obj.spec.onRollback == "RestoreTemplate" and last ~= nil then
  for _, digest in ipairs(status.rejected or {}) do
    rejected = rejected or digest == last.revision
  end
end

local governed = obj.spec.disabled ~= true and obj.metadata.deletionTimestamp == nil
local served = run ~= nil and (run.step == "Starting" or run.step == "Shifting" or run.step == "Baking") and weight > 0

local actions = {}
local function offer(name, enabled)
  actions[name] = {["disabled"] = not (governed and enabled)}
end
offer("approve", open and (awaited or budget))
offer("promote-full", open and served and status.hold == nil)
offer("abort", open)
offer("retry", rejected and (run == nil or run.step == "Done"))
offer("hold", status.hold == nil and not rolling)
offer("resume", status.hold ~= nil or reason == "TrafficConflict")
return actions
