import { Mark } from "../ui/Mark";
import { usePageTitle } from "../ui/usePageTitle";
import { useSession } from "./context";
import { LoginForm } from "./LoginForm";

export function LoginPage() {
  const { enter } = useSession();
  usePageTitle("Ingresar");
  return (
    <main className="login">
      <div className="card login-card">
        <div className="brand large">
          <Mark /> Respaldos
        </div>
        <h1>Ingrese para ver sus respaldos</h1>
        <p className="muted">Use el mismo correo y la misma contraseña del sistema de su clínica.</p>
        <LoginForm onEntered={enter} />
      </div>
      <p className="muted small">La sesión termina sola, y al cerrar esta pestaña.</p>
    </main>
  );
}
