import { useRecuperar } from "../api/queries";
import { useToast } from "../ui/toast";

/** Takes a deletion back and says how that went, also where whatever asked for it is off the screen by then. */
export function useTakeBack(): { takeBack: (id: number) => void; isPending: boolean } {
  const { mutateAsync, isPending } = useRecuperar();
  const toast = useToast();
  return {
    isPending,
    // Callbacks of `mutate` would not be called any more.
    takeBack: (id) =>
      void mutateAsync(id).then(
        () => toast({ tone: "good", text: `El respaldo ${id} está de vuelta.` }),
        (error: Error) => toast({ tone: "bad", text: error.message }),
      ),
  };
}
