// The buttons of one VM: icons in the table, words on its own page.
import { useState } from "preact/hooks";
import type { Vm } from "../api/types";
import { mayDelete, mayMigrate, mayStart, mayStop, startVm, stopVm, vmBusy } from "../state/actions";
import { canOperate } from "../state/session";
import { Button, IconButton } from "../ui/basic";
import { DeleteVm, MigrateVm } from "./vm-dialogs";

export function VmActions({ vm, words }: { vm: Vm; words?: boolean }) {
  const [dialog, setDialog] = useState<"" | "migrate" | "delete">("");
  if (!canOperate.value) return null;
  const busy = vmBusy.value.has(vm.id);
  const close = () => setDialog("");
  const stoppable = mayStop(vm.state);
  return (
    <>
      {words ? (
        <>
          {stoppable ? (
            <Button icon="stop" busy={busy} onClick={() => void stopVm(vm.id)}>
              Stop
            </Button>
          ) : (
            <Button icon="play" busy={busy} disabled={!mayStart(vm.state)} onClick={() => void startVm(vm.id)}>
              Start
            </Button>
          )}
          {vm.state === "stopping" && (
            <Button icon="stop" busy={busy} onClick={() => void stopVm(vm.id, true)}>
              Stop at once
            </Button>
          )}
          <Button icon="move" tone="primary" disabled={!mayMigrate(vm.state)} onClick={() => setDialog("migrate")}>
            Migrate
          </Button>
          <Button icon="trash" disabled={!mayDelete(vm.state)} onClick={() => setDialog("delete")}>
            Delete
          </Button>
        </>
      ) : (
        <div class="row-actions">
          {stoppable ? (
            <IconButton icon="stop" label={`Stop ${vm.name}`} disabled={busy} onClick={() => void stopVm(vm.id)} />
          ) : (
            <IconButton
              icon="play"
              label={`Start ${vm.name}`}
              disabled={busy || !mayStart(vm.state)}
              onClick={() => void startVm(vm.id)}
            />
          )}
          <IconButton
            icon="move"
            label={`Migrate ${vm.name}`}
            disabled={!mayMigrate(vm.state)}
            onClick={() => setDialog("migrate")}
          />
          <IconButton
            icon="trash"
            tone="danger"
            label={`Delete ${vm.name}`}
            disabled={!mayDelete(vm.state)}
            onClick={() => setDialog("delete")}
          />
        </div>
      )}
      {dialog === "migrate" && <MigrateVm vm={vm} onClose={close} />}
      {dialog === "delete" && <DeleteVm vm={vm} onClose={close} />}
    </>
  );
}
